"""Shared fixtures; the tests that need real data or a fresh environment say so and skip."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several that share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
ARCHIVES = ROOT.parent / "shared" / "data"


_PATIENCE = 400


@pytest.fixture(autouse=True)
def patience():
    """End a test that hangs, in place of the whole run; those below take seconds."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def give_up(*_):
        raise TimeoutError(f"the test took more than {_PATIENCE} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def credbench(tmp_path):
    """Run the installed command in an empty folder, as a user would."""

    def run(*arguments, code=0, cwd=tmp_path, timeout=180, **env):
        ran = subprocess.run(
            [str(Path(sys.executable).with_name("credbench")), *map(str, arguments)],
            cwd=cwd, capture_output=True, text=True, timeout=timeout,
            env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        )  # fmt: skip
        assert ran.returncode == code, f"exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr
        return ran

    return run


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Real MNIST and Fashion-MNIST in torchvision's layout."""
    given = os.environ.get("CREDBENCH_TEST_DATA")
    if given:
        return Path(given)
    if not (ARCHIVES / "unpack").is_file():
        pytest.skip("no MNIST at hand: set CREDBENCH_TEST_DATA to a folder that holds it")
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([ARCHIVES / "unpack", folder, "mnist", "fashion-mnist"], check=True)
    return folder


@pytest.fixture(scope="session")
def digits():
    """The splits of the digits."""
    from credbench.images import split
    from helpers import REGISTRY

    dataset = REGISTRY.get("dataset", "digits")()
    return split(dataset, dataset.load(None))


@pytest.fixture(scope="session")
def few(digits):
    """220 examples: five steps of 50, the last of them short."""
    from dataclasses import replace

    from credbench.images import Part

    return replace(digits, train=Part(digits.train.x[:220], digits.train.y[:220]))
