// A chart that can be read without being seen: arrow keys tell its values, and a table has them all.
import uPlot from "uplot";
import { h, table, write } from "./dom";
import type { History } from "./types";

export interface Line {
  key: string;
  label: string;
  color: string;
}

type Format = (v: number | null | undefined) => string;

const height = 150;

/** powers of two, in which bytes are counted. */
const powers = Array.from({ length: 50 }, (_, i) => 2 ** i);

export class Chart {
  readonly el: HTMLElement;
  private box: HTMLElement;
  private say = h("p", { class: "say", "aria-live": "polite" });
  private rows = h("div", null);
  private details: HTMLDetailsElement;
  private plot: uPlot | undefined;
  private data: uPlot.AlignedData = [[]];
  private limit: number | undefined;
  private at = -1;
  private readonly resize: ResizeObserver;

  constructor(private title: string, private lines: Line[], private format: Format, private limited = false, private binary = false) {
    this.box = h("div", { class: "plot", role: "application", tabindex: 0, "aria-label": `${title}: left and right arrow keys tell the values`, "aria-roledescription": "chart" });
    this.details = h("details", { toggle: () => this.fill() }, h("summary", null, "as a table"), this.rows);
    const legend = lines.length > 1 ? h("span", { class: "legend" }, lines.map((l, i) => h("span", { class: `key k${i + 1}` }, l.label))) : null;
    this.el = h("figure", { class: "card chart" }, h("figcaption", null, h("h2", null, title), legend, this.say), this.box, this.details);
    this.box.addEventListener("keydown", (e) => this.key(e));
    this.resize = new ResizeObserver(() => this.size());
    this.resize.observe(this.box);
  }

  show(hist: History, limit?: number): void {
    const from = new Date(hist.from).getTime() / 1000;
    const n = Math.max(0, ...this.lines.map((l) => hist.values[l.key]?.length ?? 0));
    const times = Array.from({ length: n }, (_, i) => from + i * hist.step);
    this.data = [times, ...this.lines.map((l) => hist.values[l.key] ?? [])] as uPlot.AlignedData;
    this.el.hidden = !this.lines.some((l) => hist.values[l.key]?.some((v) => v !== null)); // nothing to show, such as throttling without a limit
    const redraw = this.limit !== limit;
    this.limit = limit;
    if (!this.plot || redraw) this.make();
    else this.plot.setData(this.data);
    if (this.at < 0) this.tell(n - 1);
    this.fill();
  }

  repaint(): void {
    if (this.plot) this.make();
  }

  close(): void {
    this.resize.disconnect();
    this.plot?.destroy();
  }

  private size(): void {
    const width = this.box.clientWidth;
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height });
  }

  private make(): void {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    this.plot?.destroy();
    const axis = { stroke: color("--dim"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const top = this.limited && this.limit ? this.limit : 0;
    this.plot = new uPlot({
      width: Math.max(200, this.box.clientWidth), height, padding: [8, 28, 0, 0], legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_u, _min, max) => [0, Math.max(top, max * 1.1, 1e-6)] } },
      axes: [
        // With seconds, where minutes alone would be the same again and again.
        { ...axis, size: 26, space: 70, values: (_u, list) => list.map((v) => this.time(v).slice(0, (list[1] ?? 0) - (list[0] ?? 0) < 60 ? 8 : 5)) },
        { ...axis, size: 66, space: 26, ...(this.binary ? { incrs: powers } : {}), values: (_u, list) => list.map((v) => this.format(v)) },
      ],
      series: [{}, ...this.lines.map((l) => ({ label: l.label, stroke: color(l.color), width: 1.5, fill: this.lines.length === 1 ? `${color(l.color)}22` : undefined, spanGaps: false, points: { show: false } }))] as uPlot.Series[],
      hooks: { setCursor: [(u) => { if (u.cursor.idx !== null && u.cursor.idx !== undefined && this.box.matches(":hover")) this.tell(u.cursor.idx); }] },
    }, this.data, this.box);
  }

  private key(e: KeyboardEvent): void {
    const n = this.data[0].length;
    const step: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -n, End: n };
    const by = step[e.key];
    if (by === undefined || n === 0) return;
    e.preventDefault();
    this.at = Math.max(0, Math.min(n - 1, (this.at < 0 ? n - 1 : this.at) + by));
    this.tell(this.at);
    const x = this.data[0][this.at];
    if (this.plot && x !== undefined) this.plot.setCursor({ left: this.plot.valToPos(x, "x"), top: 10 });
  }

  private values(i: number): string {
    return this.lines.map((l, n) => `${this.lines.length > 1 ? `${l.label} ` : ""}${this.format((this.data[n + 1] as (number | null)[])[i])}`).join(", ");
  }

  private tell(i: number): void {
    const x = this.data[0][i];
    write(this.say, x === undefined ? "no values yet" : `${this.time(x)} ${this.values(i)}`);
  }

  private time(x: number): string {
    return new Date(x * 1000).toLocaleTimeString("en-GB").slice(0, 8);
  }

  /** fill makes the table, while it is open. */
  private fill(): void {
    if (!this.details.open) return;
    const times = this.data[0];
    const rows = Array.from(times, (x, i) => [this.time(x), ...this.lines.map((_, n) => this.format((this.data[n + 1] as (number | null)[])[i]))]).reverse();
    this.rows.replaceChildren(table(`${this.title}, newest first`, ["Time", ...this.lines.map((l) => l.label)], rows, "narrow"));
  }
}
