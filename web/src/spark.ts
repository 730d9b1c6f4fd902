import { svg } from "./dom";

const width = 84;
const height = 20;

/** Spark is a line without numbers: the numbers stand beside it, so a screen reader does not need it. */
export class SparkLine {
  readonly el: SVGElement;
  private line = svg("path", { class: "spark-line" });
  private area = svg("path", { class: "spark-area" });
  private last = "";

  constructor() {
    this.el = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" }, this.area, this.line);
  }

  /** draw shows the values; top is the least that the top of the picture stands for. */
  draw(values: (number | null)[], top: number, steps: number): void {
    const most = Math.max(top, ...values.map((v) => v ?? 0)) || 1;
    let d = "";
    let open = false;
    let first = 0;
    let x = 0;
    values.forEach((v, i) => {
      if (v === null) {
        open = false;
        return;
      }
      x = ((steps - values.length + i) / (steps - 1)) * width;
      const y = height - 1.5 - (v / most) * (height - 3);
      if (!open) first = x;
      d += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      open = true;
    });
    if (d === this.last) return;
    this.last = d;
    this.line.setAttribute("d", d);
    this.area.setAttribute("d", d && !d.slice(1).includes("M") ? `${d}L${x.toFixed(1)} ${height}L${first.toFixed(1)} ${height}Z` : "");
  }
}
