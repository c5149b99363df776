// What all parts of the page share: the folder's files, the jobs, and messages.
import { get, link } from "./api.js";

class State extends EventTarget {
  constructor() {
    super();
    this.items = [];
    this.byName = new Map();
    this.jobs = [];
    this.start = { wishes: [], media: {}, paintings: {}, commands: [], folder: "" };
  }

  // What --look takes by name: paintings whose looks ship, and media. Each is true where it has a picture.
  get looks() { return { ...this.start.paintings, ...this.start.media }; }

  tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  say(text, isProblem = false) { this.tell("message", { text, isProblem }); }

  // Run something that may fail, and say why.
  async trying(work) {
    try {
      return await work();
    } catch (error) {
      if (!error.isOvertaken) this.say(error.message, true);
      return undefined;
    }
  }

  async open() {
    this.isHere = (await get("/easel/here")).here; // on the machine of the studio, whose programs can be used
    [this.start] = await Promise.all([get("/api/start"), this.refresh()]);
    this.tell("start");
    this.listen();
    setInterval(() => { if (document.visibilityState === "visible") this.refresh().catch(() => {}); }, 4000);
  }

  listen() {
    const events = new EventSource(link("/events"));
    events.onopen = () => this.tell("connection", true);
    events.onerror = () => this.tell("connection", false);
    events.onmessage = ({ data }) => {
      const before = new Map(this.jobs.map((job) => [job.number, job.state]));
      this.jobs = JSON.parse(data);
      const ended = this.jobs.filter((job) => before.get(job.number) === "running" && job.state !== "running");
      for (const job of ended) this.tell("ended", job);
      this.tell("jobs");
      if (ended.length) this.refresh().catch(() => {});
    };
  }

  async refresh() {
    const { version, items } = await get("/api/shelf", { known: this.version ?? "" });
    if (!items) return;
    this.version = version;
    this.items = items;
    this.byName = new Map(items.map((item) => [item.name, item]));
    this.tell("items");
  }

  item(name) { return this.byName.get(name); }

  // The job that made a file.
  maker(name) { return this.jobs.find((job) => job.state === "done" && job.outcome.output === name); }
}

export const state = new State();
