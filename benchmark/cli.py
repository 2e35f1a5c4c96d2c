"""The command line; every command is thin, and imports what is heavy only where it needs it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from credbench import __version__
from credbench import cli_components as components
from credbench import cli_experiments as experiments
from credbench import cli_records as records
from credbench.errors import CredbenchError, RequestError
from credbench.launch import follows, give_way, launched

app = typer.Typer(
    name="credbench",
    help="Compare credit-assignment algorithms on equal terms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "run": experiments.run,
    "tune": experiments.tune,
    "reproduce": experiments.reproduce,
    "time": components.time_,
    "list": components.list_,
    "describe": components.describe,
    "table": records.table,
    "compare": records.compare_,
    "merge": records.merge,
    "plot": records.plot,
    "report": records.report,
    "claims": records.claims,
    "status": records.status,
    "new": components.new_,
    "check": components.check_,
}
"""What each command runs, in the order in which --help lists them."""
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit()
    command, processes = context.invoked_subcommand, launched().size
    if processes > 1 and command not in (None, "run"):
        raise RequestError(
            f"{command} on {processes} processes: only 'credbench run' takes several; "
            "start it without torchrun"
        )


_INTERRUPTED = 130


def main() -> None:
    """Run the command line; exits with 0 all fine, 1 some trial failed, 2 wrong request."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be no valid text
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()
    except CredbenchError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", _INTERRUPTED)
    except SystemExit as stop:
        if stop.code != _INTERRUPTED:
            raise
        code = _INTERRUPTED
    except OSError as error:
        if error.filename is not None:
            raise
        sys.stdout = None  # else its flush at exit would fail again
        _fail(f"the output cannot be written ({error.strerror})", 1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _fail(" ".join(error.format_message().split()), 2)
    if code == _INTERRUPTED:  # typer's own answer to Ctrl-C has no words
        _fail("interrupted", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str, code: int) -> None:
    if code == RequestError.exit_code:
        give_way()
    if code != _INTERRUPTED or not follows():
        typer.echo(f"credbench: {sentence}", err=True)
    sys.exit(code)
