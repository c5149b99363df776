// What came by OSC: the port, the last message, and what was not used, for whoever sets up a stage.

const COUNTED = { unmatched: "to no address", malformed: "damaged", refused: "refused", dropped: "dropped" };

export class Osc {
  constructor(connection) {
    const [port, counts, last, problem, unmatched] = ["port", "counts", "last", "problem", "unmatched"].map((name) =>
      document.getElementById(`osc-${name}`));
    Object.assign(this, { box: document.getElementById("osc"), port, counts, last, problem, unmatched });
    connection.addEventListener("osc", ({ detail }) => this.show(detail));
    connection.addEventListener("closed", () => { this.box.hidden = true; });
  }

  // about: counts, the last message, the last problem, and the addresses that do not exist, with their counts.
  show(about) {
    this.box.hidden = false;
    this.port.textContent = about.port ? `UDP ${about.port}` : "out only";
    const lost = { ...about, unmatched: about.no_address };
    const parts = Object.entries(COUNTED).filter(([name]) => lost[name]).map(([name, words]) => `${lost[name]} ${words}`);
    this.counts.textContent = about.port ? ` · ${[`${about.used} used`, ...parts].join(" · ")}` : "";
    this.last.textContent = about.last || (about.port ? "no message yet" : "");
    this.problem.textContent = about.problem;
    this.unmatched.replaceChildren(...Object.entries(about.unmatched).map(([address, count]) =>
      Object.assign(document.createElement("li"), { textContent: `no such address: ${address} (${count})` })));
  }
}
