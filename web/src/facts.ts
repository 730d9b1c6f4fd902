// The line of state: what one wants to know before all else.
import { byId, h, name, write } from "./dom";
import { live } from "./live";

type Tone = "ok" | "warn" | "bad" | "dim";

interface Fact {
  tone: Tone;
  label: string;
  value: string;
  why?: string;
  href: string;
}

const glyph: Record<Tone, string> = { ok: "✓", warn: "!", bad: "✕", dim: "·" };

function facts(): Fact[] {
  const s = live.state;
  const b = live.board;
  const out: Fact[] = [];
  const asked = b?.guard.asked;
  if (!b) out.push({ tone: "dim", label: "dockerd asks", value: "…", href: "#/asks" });
  else if (!b.up) out.push({ tone: "dim", label: "dockerd asks", value: "not known", why: b.why ?? "", href: "#/asks" });
  else if (asked === undefined) out.push({ tone: "dim", label: "dockerd asks", value: "…", href: "#/asks" });
  else out.push({ tone: asked ? "ok" : "bad", label: "dockerd asks", value: asked ? "yes" : "no", why: b.guard.checks?.plugin ?? "", href: "#/asks" });
  if (b?.up) {
    const policy = b.guard.checks?.policy ?? "";
    const wrong = policy !== "" && policy !== "ok";
    out.push({ tone: wrong ? "bad" : "ok", label: "policy", value: b.guard.revision?.slice(0, 12) || "none", why: wrong ? policy : (b.guard.source ?? ""), href: "#/asks" });
    out.push({ tone: b.denied_hour > 0 ? "bad" : "ok", label: "denied in an hour", value: String(b.denied_hour), href: "#/asks" });
    if (b.would_deny_hour > 0) out.push({ tone: "warn", label: "would be denied", value: String(b.would_deny_hour), href: "#/asks" });
    const failing = Object.entries(b.guard.checks ?? {}).filter(([k, v]) => v !== "ok" && k !== "plugin" && k !== "policy");
    for (const [k, v] of failing) out.push({ tone: "bad", label: k, value: "failing", why: v, href: "#/asks" });
  }
  if (s) {
    out.push({ tone: s.trouble > 0 ? "bad" : "ok", label: "in trouble", value: `${s.trouble} of ${s.containers.length}`, href: "#/" });
    if (!s.engine.up) out.push({ tone: "bad", label: "Docker Engine", value: "does not answer", why: s.engine.why ?? "", href: "#/" });
    if (s.engine.unanswered) out.push({ tone: "warn", label: "unanswered", value: String(s.engine.unanswered), why: "containers about which the Engine does not answer", href: "#/" });
    out.push({ tone: s.engine.gaps > 0 ? "warn" : "ok", label: "gaps", value: String(s.engine.gaps), why: "times that the Engine's events were lost", href: "#/" });
  }
  return out;
}

const items: { li: HTMLLIElement; a: HTMLAnchorElement; mark: HTMLElement; label: HTMLElement; value: HTMLElement }[] = [];

/** drawFacts keeps the elements, so that a keyboard's focus stays. */
export function drawFacts(): void {
  const list = facts();
  const ul = byId("facts");
  while (items.length < list.length) {
    const mark = h("span", { class: "mark", "aria-hidden": "true" });
    const label = h("span", { class: "label" });
    const value = h("b", null);
    const a = h("a", null, mark, label, " ", value);
    const li = h("li", null, a);
    items.push({ li, a, mark, label, value });
    ul.append(li);
  }
  while (items.length > list.length) items.pop()!.li.remove();
  list.forEach((f, i) => {
    const it = items[i]!;
    name(it.li, `fact ${f.tone}`);
    write(it.mark, glyph[f.tone]);
    write(it.label, f.label);
    write(it.value, f.value);
    it.a.href = f.href;
    if (f.why) it.a.title = f.why;
    else it.a.removeAttribute("title");
  });
}
