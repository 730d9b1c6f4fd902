// One container.
import { h, table, write } from "./dom";
import { bytes, clock, number, part, percent, plural, rate, span } from "./format";
import { get } from "./live";
import { Chart } from "./chart";
import { requestsTable } from "./asks";
import type { Detail, History } from "./types";
import type { View } from "./view";

export function containerView(id: string): View {
  const title = h("h1", null, id.slice(0, 12));
  const about = h("p", { class: "dim wrap" });
  const problems = h("ul", { class: "problems big" });
  const charts = [
    new Chart("CPU", [{ key: "cpu", label: "CPU", color: "--c1" }], percent),
    new Chart("Memory", [{ key: "memory", label: "working set", color: "--c2" }], bytes, true, true),
    new Chart("Network", [{ key: "net_in", label: "in", color: "--c1" }, { key: "net_out", label: "out", color: "--c3" }], rate, false, true),
    new Chart("Throttled", [{ key: "throttled", label: "of the periods", color: "--c4" }], part),
    new Chart("Disk", [{ key: "disk", label: "read and written", color: "--c3" }], rate, false, true),
  ];
  let day = false;
  const hourButton = h("button", { type: "button", class: "quiet", "aria-pressed": "true", click: () => choose(false) }, "last hour");
  const dayButton = h("button", { type: "button", class: "quiet", "aria-pressed": "false", click: () => choose(true) }, "last day");
  const facts = h("dl", { class: "facts-list" });
  const lists = h("div", { class: "lists" });
  const el = h("div", { class: "view" },
    h("p", null, h("a", { href: "#/" }, "← all containers")), title, about, problems,
    h("div", { class: "tools", role: "group", "aria-label": "Span of the charts" }, hourButton, dayButton),
    h("div", { class: "charts" }, charts.map((c) => c.el)), h("section", { class: "card" }, h("h2", null, "Facts"), facts), lists);

  let closed = false;
  let timer = 0;
  let ticks = 0;
  const aborter = new AbortController();

  function choose(ofDay: boolean): void {
    day = ofDay;
    hourButton.setAttribute("aria-pressed", String(!day));
    dayButton.setAttribute("aria-pressed", String(day));
    void load();
  }

  async function load(): Promise<void> {
    clearTimeout(timer);
    const path = `api/containers/${encodeURIComponent(id)}`;
    try {
      const [d, hist] = await Promise.all([
        get<Detail>(path, aborter.signal),
        get<History>(`${path}/history?span=${day ? "day" : "hour"}`, aborter.signal),
      ]);
      if (closed) return;
      for (const c of charts) c.show(hist, d.limit);
      drawDetail(d);
    } catch (e) {
      if (closed) return;
      about.textContent = e instanceof Error ? e.message : String(e);
    }
    timer = window.setTimeout(() => void load(), 2000);
    ticks++;
  }

  let told = "";
  function drawDetail(d: Detail): void {
    write(title, d.name);
    document.title = `${d.name} – Vitrine`;
    write(about, [d.gone ? `gone since ${clock(d.gone)}` : d.state, d.health, d.image, d.id.slice(0, 12), d.state === "running" && d.started ? `since ${clock(d.started)}` : "", d.exit_code !== undefined ? `exit code ${d.exit_code}` : ""].filter(Boolean).join(" · "));
    problems.replaceChildren(...(d.problems ?? []).map((p) => h("li", { class: p.severity }, h("span", { class: "sr" }, `${p.severity}: `), p.text)));
    const pairs: [string, string][] = [
      ["CPU", percent(d.cpu)], ["Throttled", part(d.throttled)],
      ["Memory", d.limit ? `${bytes(d.memory)} of ${bytes(d.limit)}` : bytes(d.memory)], ["Full in", d.full_in ? span(d.full_in) : "–"],
      ["Network in / out", `${rate(d.net_in)} / ${rate(d.net_out)}`], ["Disk", rate(d.disk)], ["Threads", number(d.threads)], ["Restarts", number(d.restarts)],
      ["OOM kills that PID 1 outlived", number(d.kills)], ["Created", clock(d.created)], ["Networks", d.networks.join(", ") || "–"],
    ];
    facts.replaceChildren(...pairs.map(([k, v]) => h("div", null, h("dt", null, k), h("dd", null, v))));
    // The lists are drawn anew only if they are others: somebody may be reading them.
    const key = JSON.stringify([d.tags, d.checks.map((c) => [c.check, c.status, c.message]), d.events, d.touched, d.sent.map((s) => [s.name, s.tags]), Math.floor(ticks / 5)]);
    if (key === told || lists.contains(document.activeElement) && told) return;
    told = key;
    const open = new Set([...lists.querySelectorAll("details[open]")].map((x) => x.id));
    lists.replaceChildren(
      section("Who asked Docker for it", d.touched.length ? requestsTable("Requests for this container", d.touched, true) : h("p", { class: "dim" }, "Nobody, as far as the last requests of each caller tell.")),
      section("What happened", d.events.length ? table("Events", ["Time", "Event"], d.events.map((e) => [h("time", { datetime: e.time }, clock(e.time)), h("span", { class: e.bad ? "bad-text" : "" }, e.text)])) : h("p", { class: "dim" }, "Nothing since the monitor began.")),
      section("Checks", d.checks.length ? table("Service checks", ["Check", "Status", "Message"], d.checks.map((c) => [h("span", { class: "mono" }, c.check), h("span", { class: `pill ${c.status === "ok" ? "ok" : c.status === "critical" ? "bad" : "warn"}` }, c.status), c.message ?? ""])) : h("p", { class: "dim" }, "None.")),
      section("Its DogStatsD metrics", d.sent.length ? table("DogStatsD metrics", ["Metric", "Type", "Now", "p95", "Total", "Tags of its own"], d.sent.map((s) => [h("span", { class: "mono" }, s.name), s.type, number(s.value), number(s.p95), number(s.total), tags(s.tags)])) : h("p", { class: "dim" }, "It has sent none, or none that bears its tags.")),
      section("Tags", tags(d.tags)),
      section("All its metrics", h("details", { id: "numbers" }, h("summary", null, plural(d.numbers.length, "value")), table("Metrics", ["Metric", "Value", "Meaning"], d.numbers.map((n) => [
        h("span", { class: "mono" }, n.metric + (n.labels ? ` ${Object.values(n.labels).filter(Boolean).join(" ")}` : "")), number(n.value) + (n.rate ? " /s" : ""), n.help])))),
    );
    for (const x of lists.querySelectorAll("details")) if (open.has(x.id)) x.open = true;
  }

  void load();
  return {
    title: id.slice(0, 12), el, draw: () => {}, repaint: () => charts.forEach((c) => c.repaint()),
    close: () => {
      closed = true;
      clearTimeout(timer);
      aborter.abort();
      charts.forEach((c) => c.close());
    },
  };
}

function section(title: string, ...children: HTMLElement[]): HTMLElement {
  return h("section", { class: "card" }, h("h2", null, title), children);
}

export function tags(list: string[]): HTMLElement {
  return list.length ? h("ul", { class: "tags" }, list.map((t) => h("li", null, t))) : h("span", { class: "dim" }, "–");
}
