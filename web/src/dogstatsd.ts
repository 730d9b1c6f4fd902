// Who sends metrics, how much of his quota he has used, and what could not be read.
import { h, table, write } from "./dom";
import { clock, number, plural, span } from "./format";
import { get } from "./live";
import { tags } from "./container";
import type { DogStatsD } from "./types";
import type { View } from "./view";

function from(x: { origin: string; container_id?: string; container_name?: string }): HTMLElement {
  const text = x.container_name || x.container_id?.slice(0, 12);
  if (!text) return h("span", { class: "dim" }, "no container that is known");
  return h("span", null, h("a", { href: `#/container/${x.container_id}` }, text), x.origin === "client" ? h("span", { class: "dim" }, " (as it says itself)") : "");
}

const sum = (o: Record<string, number>): number => Object.values(o).reduce((a, b) => a + b, 0);

export function dogstatsdView(): View {
  const says = h("p", { class: "dim" }, "…");
  const lists = h("div", { class: "lists" });
  const el = h("div", { class: "view" }, h("h1", null, "DogStatsD"), says, lists);
  const aborter = new AbortController();
  let timer = 0;
  let closed = false;
  let told = "";

  async function load(): Promise<void> {
    try {
      const d = await get<DogStatsD | null>("api/dogstatsd", aborter.signal);
      if (d) draw(d);
      else write(says, "The monitor receives none: see --dogstatsd-socket.");
    } catch (e) {
      if (closed) return;
      write(says, e instanceof Error ? e.message : String(e));
    }
    if (!closed) timer = window.setTimeout(() => void load(), 2000);
  }

  function draw(d: DogStatsD): void {
    write(says, `${plural(d.senders.length, "sender")}, intervals of ${span(d.interval_seconds)}; each may have ${number(d.quota)} units${d.left_out ? `; ${d.left_out} entries are left out for want of room` : ""}.`);
    const key = JSON.stringify([d.senders, d.events, d.service_checks.map((c) => [c.check, c.status, c.tags]), d.refused_lines]);
    if (key === told || (lists.contains(document.activeElement) && told)) return;
    told = key;
    lists.replaceChildren(
      section("Senders", d.senders.length, () => table("Senders", ["Sender", "Contexts", "Of its quota", "Refused for want of it", "Refused for their time", "Events", "Checks"], d.senders.map((s) => {
        const used = d.quota ? s.quota_used / d.quota : 0;
        const fill = h("span", { class: `bar-fill ${used >= 0.9 ? "hot" : used >= 0.7 ? "warm" : ""}` });
        fill.style.width = `${Math.min(100, 100 * used).toFixed(0)}%`;
        return [from(s), number(s.contexts), h("span", { class: "quota" }, `${(100 * used).toFixed(used > 0 && used < 0.01 ? 2 : 0)} %`, h("span", { class: "bar", "aria-hidden": "true" }, fill)),
          h("span", { class: s.messages_refused ? "bad-text" : "" }, number(s.messages_refused)), number(s.timestamps_refused), number(sum(s.events)), number(sum(s.service_checks))];
      }))),
      section("Lines that could not be read", d.refused_lines.length, () => table("Refused lines", ["Reason", "Count", "From", "Last", "Example"], d.refused_lines.map((r) => [r.reason, number(r.count), from(r), clock(r.time), h("code", { class: "wrap" }, r.example)]))),
      section("Service checks", d.service_checks.length, () => table("Service checks", ["Check", "Status", "From", "Time", "Message", "Tags"], d.service_checks.map((c) => [h("span", { class: "mono" }, c.check ?? ""), h("span", { class: `pill ${c.status === "ok" ? "ok" : c.status === "critical" ? "bad" : "warn"}` }, c.status ?? ""), from(c), clock(c.time), c.message ?? "", tags(c.tags)]))),
      section("Events", d.events.length, () => table("Events", ["Time", "Title", "Text", "Kind", "From", "Tags"], d.events.map((e) => [clock(e.time), e.title ?? "", h("span", { class: "wrap" }, e.text ?? ""), e.alert_type ?? "", from(e), tags(e.tags)]))),
    );
  }

  function section(title: string, n: number, list: () => HTMLElement): HTMLElement {
    return h("section", { class: "card" }, h("h2", null, title), n ? list() : h("p", { class: "dim" }, "None."));
  }

  void load();
  return { title: "DogStatsD", el, draw: () => {}, close: () => { closed = true; clearTimeout(timer); aborter.abort(); } };
}
