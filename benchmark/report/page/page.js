// The sections of the page, from the data in it.

function section(id, title, ...children) {
  const heading = newId();
  document.getElementById("contents").append(make("li", null, make("a", { href: `#${id}` }, title)));
  const element = make("section", { id, "aria-labelledby": heading }, make("h2", { id: heading }, title), ...children);
  document.getElementById("main").append(element);
}

function counted(counts) {
  const shown = Object.entries(counts).filter(([state, count]) => count || state === "done");
  return shown.map(([state, count]) => (state === "trials" ? plural(count, "trial") : `${count} ${state}`)).join(", ");
}

function environments(found) {
  const parts = found.flatMap(({ command, facts }) => [
    make("pre", null, command),
    make("dl", null, ...facts.flatMap(([name, value]) => [make("dt", null, name), make("dd", null, value)])),
  ]);
  return make("details", null, make("summary", null, `Environment (${plural(found.length, "run")})`), ...parts);
}

/** A heading and what follows it, or nothing. */
function part(title, present, content) {
  return present ? [make("h3", null, title), content()] : [];
}

function experiment(content, number) {
  const { name, table, panels, matrices, seconds, unfinished } = content;
  section(
    `experiment-${number}`,
    name,
    make("p", { class: "counts" }, counted(content.counts)),
    ...content.commands.map((command) => make("pre", { class: "command" }, command)),
    ...part("Results", true, () => new Sheet(table, `Results of ${name}`).element),
    ...part("Failed and diverged trials", unfinished.cells.length, () => {
      const shown = new Sheet(unfinished, `Failed and diverged trials of ${name}`).element;
      shown.classList.add("unfinished");
      return shown;
    }),
    ...part("Learning curves", panels.length, () => new Curves(panels).element),
    ...part("Details", true, () => make("div", null,
      matrices.length ? new Matrices(matrices).element : null,
      folded("Seconds an epoch", seconds, name),
      folded("Single trials", content.trials, name),
      content.environments.length ? environments(content.environments) : null)),
  );
}

function folded(title, sheet, name) {
  if (!sheet.cells.length) return null;
  return make("details", null, make("summary", null, title), new Sheet(sheet, `${title} of ${name}`).element);
}

function start() {
  const content = JSON.parse(document.getElementById("data").textContent);
  const about = `Records in ${content.folder}, read by credbench ${content.version}.`;
  document.getElementById("about").textContent = about;
  section("summary", "Summary", new Sheet(content.summary, "Experiments").element,
    ...content.problems.map((problem) => make("p", { class: "bad" }, problem)));
  if (content.claims.verdicts) {
    section("claims", "Claims", new Sheet(content.claims.verdicts, "The paper's claims").element,
      folded("The numbers behind them", content.claims.numbers, "the claims"));
  }
  content.experiments.forEach(experiment);
  if (content.timing.length) {
    section("timing", "Timing", ...content.timing.flatMap(({ name, table }) => part(name, true, () => new Sheet(table, name).element)));
  }
}

start();
