// All containers: what is wrong on top.
import { h, name, scroller, write } from "./dom";
import { bytes, clock, part, percent, plural, rate, span } from "./format";
import { live } from "./live";
import { SparkLine } from "./spark";
import type { Container, Severity } from "./types";
import type { View } from "./view";

const steps = 60;
const severity: Record<Severity, number> = { note: 1, warning: 2, critical: 3 };

export function worst(c: Container): number {
  return Math.max(0, ...(c.problems ?? []).map((p) => severity[p.severity]));
}

const words = ["well", "note", "warning", "critical"];

interface Column {
  key: string;
  title: string;
  cls: string;
  /** by is what it is sorted by, the largest first. */
  by: (c: Container) => number | string;
}

const none = -1;
const columns: Column[] = [
  { key: "name", title: "Container", cls: "c-name", by: (c) => c.name },
  { key: "state", title: "State", cls: "c-state", by: (c) => c.state + (c.health ?? "") },
  { key: "cpu", title: "CPU", cls: "c-cpu num", by: (c) => c.cpu ?? none },
  { key: "throttled", title: "Throttled", cls: "c-throttled num", by: (c) => c.throttled ?? none },
  { key: "memory", title: "Memory", cls: "c-memory", by: (c) => c.memory ?? none },
  { key: "net", title: "Network in / out", cls: "c-net num", by: (c) => (c.net_in ?? none) + (c.net_out ?? 0) },
  { key: "restarts", title: "Restarts", cls: "c-restarts num", by: (c) => c.restarts },
];

/** Row is the row of one container, which stays as long as the container does. */
class Row {
  readonly el: HTMLTableRowElement;
  visible = false;
  private link = h("a", null);
  private image = h("span", { class: "image" });
  private problems = h("ul", { class: "problems" });
  private state = h("span", null);
  private cpu = h("span", { class: "value" });
  private cpuSpark = new SparkLine();
  private throttled = h("span", null);
  private memory = h("span", { class: "value" });
  private memorySpark = new SparkLine();
  private bar = h("span", { class: "bar-fill" });
  private barBox = h("span", { class: "bar", "aria-hidden": "true" }, this.bar);
  private left = h("span", { class: "left" });
  private netIn = h("span", null);
  private netOut = h("span", null);
  private restarts = h("span", null);
  private told = "";

  constructor(public c: Container) {
    this.link.href = `#/container/${c.id}`;
    this.el = h("tr", null,
      h("th", { scope: "row", class: "c-name" }, h("div", { class: "who" }, this.link, this.image), this.problems),
      h("td", { class: "c-state" }, this.state),
      h("td", { class: "c-cpu num" }, h("div", { class: "pair" }, this.cpuSpark.el, this.cpu)),
      h("td", { class: "c-throttled num" }, this.throttled),
      h("td", { class: "c-memory" }, h("div", { class: "pair" }, this.memorySpark.el, h("div", { class: "mem" }, this.memory, this.barBox, this.left))),
      h("td", { class: "c-net num" }, this.netIn, h("span", { class: "dim" }, " / "), this.netOut),
      h("td", { class: "c-restarts num" }, this.restarts));
  }

  draw(): void {
    const c = this.c;
    name(this.el, `row ${words[worst(c)]}${c.state === "running" ? "" : " off"}`);
    write(this.link, c.name);
    write(this.image, c.image);
    const told = JSON.stringify(c.problems ?? []);
    if (told !== this.told) {
      this.told = told;
      this.problems.replaceChildren(...(c.problems ?? []).map((p) => h("li", { class: p.severity }, h("span", { class: "sr" }, `${p.severity}: `), p.text)));
    }
    write(this.state, c.health && c.state === "running" ? c.health : c.state);
    write(this.cpu, percent(c.cpu));
    write(this.throttled, c.throttled === undefined ? "–" : part(c.throttled));
    name(this.throttled, (c.throttled ?? 0) >= 0.25 ? "warn-text" : "");
    write(this.memory, c.limit ? `${bytes(c.memory)} of ${bytes(c.limit)}` : bytes(c.memory));
    const used = c.limit && c.memory !== undefined ? c.memory / c.limit : 0;
    this.barBox.hidden = !c.limit || c.memory === undefined;
    this.bar.style.width = `${Math.min(100, 100 * used).toFixed(0)}%`;
    name(this.bar, `bar-fill ${used >= 0.9 || (c.full_in && c.full_in < 600) ? "hot" : used >= 0.7 ? "warm" : ""}`);
    write(this.left, c.full_in ? `full in ${span(c.full_in)}` : "");
    write(this.netIn, rate(c.net_in));
    write(this.netOut, rate(c.net_out));
    write(this.restarts, c.restarts ? String(c.restarts) : "0");
    const s = live.sparks.get(c.id);
    if (s) {
      this.cpuSpark.draw(s.cpu, 5, steps);
      this.memorySpark.draw(s.memory, c.limit ?? 0, steps);
    }
  }
}

// What was chosen stays while other views are looked at.
let sortBy = "trouble";
let turned = false;
let filter = "";
let only = false;

export function containersView(): View {
  const rows = new Map<string, Row>();
  const body = h("tbody", null);
  const heads = columns.map((col) => {
    const button = h("button", { type: "button", click: () => sort(col.key) }, col.title);
    return h("th", { scope: "col", class: col.cls }, button);
  });
  const search = h("input", { type: "search", id: "filter", placeholder: "name or tag", value: filter, autocomplete: "off", spellcheck: "false" });
  const trouble = h("input", { type: "checkbox", id: "only" });
  trouble.checked = only;
  const order = h("button", { type: "button", class: "quiet", click: () => sort("trouble") }, "What is wrong first");
  const found = h("p", { class: "found", role: "status" });
  const empty = h("p", { class: "empty", hidden: true });
  const events = h("ol", { class: "events" });
  const el = h("div", { class: "view" },
    h("h1", { class: "sr" }, "Containers"),
    h("div", { class: "tools" }, h("label", { for: "filter" }, "Filter"), search, h("span", { class: "check" }, trouble, h("label", { for: "only" }, "in trouble only")), order, found),
    scroller("All containers", h("table", { class: "containers" }, h("caption", { class: "sr" }, "Containers, with what is wrong with each"), h("thead", null, h("tr", null, heads)), body)),
    empty,
    h("section", { class: "card" }, h("h2", null, "What happened"), events));

  const seen = new IntersectionObserver((list) => {
    for (const e of list) {
      const row = byRow.get(e.target);
      if (!row) continue;
      row.visible = e.isIntersecting;
      if (row.visible) row.draw();
    }
  }, { rootMargin: "200px" });
  const byRow = new WeakMap<Element, Row>();

  search.addEventListener("input", () => {
    filter = search.value;
    draw();
  });
  trouble.addEventListener("change", () => {
    only = trouble.checked;
    draw();
  });

  function sort(key: string): void {
    if (key === sortBy) turned = !turned;
    else [sortBy, turned] = [key, false];
    if (key === "trouble") turned = false;
    draw();
  }

  function sorted(list: Container[]): Container[] {
    const col = columns.find((c) => c.key === sortBy);
    if (!col) return list; // as the monitor gives them
    const way = (typeof col.by(list[0]!) === "string" ? 1 : -1) * (turned ? -1 : 1);
    return [...list].sort((a, b) => {
      const [x, y] = [col.by(a), col.by(b)];
      return (x < y ? -way : x > y ? way : 0) || (a.name < b.name ? -1 : 1);
    });
  }

  /** fits says whether all words of the filter are in the name, the image or a tag. */
  function fits(c: Container): boolean {
    if (only && worst(c) < 2) return false;
    const text = [c.name, c.image, c.state, ...c.tags].join("\n").toLowerCase();
    return filter.toLowerCase().split(/\s+/).every((w) => text.includes(w));
  }

  function draw(): void {
    const s = live.state;
    if (!s) return;
    columns.forEach((col, i) => {
      const on = col.key === sortBy;
      const up = typeof col.by(s.containers[0] ?? ({} as Container)) === "string" ? !turned : turned;
      if (on) heads[i]!.setAttribute("aria-sort", up ? "ascending" : "descending");
      else heads[i]!.removeAttribute("aria-sort");
    });
    order.setAttribute("aria-pressed", String(sortBy === "trouble"));
    const list = s.containers.length ? sorted(s.containers.filter(fits)) : [];
    const there = new Set(list.map((c) => c.id));
    for (const [id, row] of rows) {
      if (there.has(id)) continue;
      seen.unobserve(row.el);
      row.el.remove();
      rows.delete(id);
    }
    let at: Element | null = body.firstElementChild;
    for (const c of list) {
      let row = rows.get(c.id);
      if (!row) {
        row = new Row(c);
        rows.set(c.id, row);
        byRow.set(row.el, row);
        row.draw();
        body.insertBefore(row.el, at);
        seen.observe(row.el);
        continue;
      }
      row.c = c;
      if (row.visible) row.draw();
      if (row.el === at) at = at.nextElementSibling;
      else body.insertBefore(row.el, at);
    }
    write(found, list.length === s.containers.length ? plural(list.length, "container") : `${list.length} of ${plural(s.containers.length, "container")}`);
    empty.hidden = list.length > 0;
    write(empty, s.containers.length === 0 ? (s.engine.up ? "There are no containers." : `No containers are known: ${s.engine.why ?? "the Engine does not answer"}`) : "None fits the filter.");
    drawEvents();
  }

  let toldEvents = "-"; // what no events are not
  function drawEvents(): void {
    const list = (live.state?.events ?? []).slice(0, 12);
    const key = list.map((e) => e.time + e.id + e.kind).join();
    if (key === toldEvents) return;
    toldEvents = key;
    events.replaceChildren(...list.map((e) => h("li", { class: e.bad ? (e.kind === "oom-kill" ? "critical" : "warning") : "" },
      h("time", { datetime: e.time }, clock(e.time)), " ", h("a", { href: `#/container/${e.id}` }, e.name || e.id.slice(0, 12)), " ", e.text)));
    if (list.length === 0) events.replaceChildren(h("li", { class: "dim" }, "Nothing ended, and nothing was killed, since the monitor began."));
  }

  return { title: "Containers", el, draw, close: () => seen.disconnect() };
}
