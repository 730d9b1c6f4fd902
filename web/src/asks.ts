// Who asks Docker: caller by class of operation.
import { h, name, scroller, table, write } from "./dom";
import { clock, count, quote, short } from "./format";
import { get, live } from "./live";
import type { Board, Caller, Cell, CellDetail, Request, Shape, Verdict } from "./types";
import type { View } from "./view";

const classes: [string, string][] = [
  ["ping", "is Docker there, and which version"],
  ["list", "names and states of things"],
  ["inspect", "all about one thing"],
  ["stream", "events and statistics as they come"],
  ["content", "logs and files"],
  ["secret", "keys and tokens"],
  ["interactive", "attach and exec"],
  ["write", "create, start, stop, remove"],
  ["build", "build images"],
  ["admin", "the Engine itself"],
  ["not-understood", "no operation that is known"],
];

const tone: Record<Verdict, string> = { allowed: "ok", "would-deny": "warn", denied: "bad" };
const glyph: Record<Verdict, string> = { allowed: "✓", "would-deny": "!", denied: "✕" };
const word: Record<Verdict, string> = { allowed: "allowed", "would-deny": "would be denied", denied: "denied" };

/** explain is the command that decides a request again, without asking the Engine, and says why. */
function explain(principals: string[], r: Request): string {
  return ["authz-plugin explain", ...principals.map((p) => `--as ${quote(p)}`), "--", quote(r.method), quote(r.uri)].join(" "); // a method may begin like a flag
}

export function requestsTable(caption: string, list: Request[], withCaller: boolean): HTMLElement {
  return table(caption, ["Time", ...(withCaller ? ["Caller"] : []), "Answer", "Request", "Why"], list.map((r) => [
    h("time", { datetime: r.time }, clock(r.time)),
    ...(withCaller ? [h("span", { class: "mono" }, r.caller)] : []),
    h("span", { class: `pill ${tone[r.verdict]}` }, word[r.verdict]),
    h("span", { class: "mono wrap", title: r.uri }, `${r.method} ${short(r.uri)}`),
    h("div", { class: "why" }, r.reasons.map((t) => h("p", null, t)), r.code && !r.reasons.some((t) => t.includes(r.code!)) ? h("p", { class: "dim mono" }, r.code) : null),
  ]), "requests");
}

export function asksView(): View {
  const says = h("div", { class: "card notice", hidden: true });
  const head = h("tr", null, h("th", { scope: "col" }, "Caller"), classes.map(([c, what]) => h("th", { scope: "col", title: what }, c.replace("-", " "))));
  const body = h("tbody", null);
  const since = h("p", { class: "dim" });
  const panel = h("section", { class: "card panel", "aria-label": "The requests of a cell", hidden: true, tabindex: -1 });
  const matrix = scroller("Who asks Docker for what", h("table", { class: "matrix" }, h("caption", { class: "sr" }, "Callers by class of operation"), h("thead", null, head), body));
  const el = h("div", { class: "view" },
    h("h1", null, "Who asks Docker"),
    h("p", { class: "legend" },
      h("span", { class: "pill ok" }, "✓ allowed"), h("span", { class: "pill warn" }, "! would be denied (audit mode)"), h("span", { class: "pill bad" }, "✕ denied"),
      h("span", { class: "dim" }, "The colour is the worst of the last hour. A cell opens.")),
    says, matrix, since, panel);

  let open: { caller: string; class: string } | undefined;
  let opened = "";
  let aborter: AbortController | undefined;
  const buttons = new Map<string, HTMLButtonElement>();
  const rows = new Map<string, { tr: HTMLTableRowElement; cells: HTMLTableCellElement[] }>();

  async function show(caller: string, cls: string, focus: boolean): Promise<void> {
    open = { caller, class: cls };
    aborter?.abort();
    aborter = new AbortController();
    mark();
    try {
      const cell = `caller=${encodeURIComponent(caller)}&class=${encodeURIComponent(cls)}`;
      const [d, shapes] = await Promise.all([get<CellDetail>(`api/board/cell?${cell}`, aborter.signal), get<Shape[] | null>(`api/board/shapes?${cell}`, aborter.signal)]);
      drawPanel(d, shapes ?? []);
      panel.hidden = false;
      if (focus) {
        panel.focus({ preventScroll: true });
        panel.scrollIntoView({ block: "nearest" });
      }
    } catch (e) {
      if (e instanceof DOMException && e.name === "AbortError") return;
      panel.replaceChildren(h("p", null, e instanceof Error ? e.message : String(e)));
      panel.hidden = false;
    }
  }

  function mark(): void {
    for (const [key, b] of buttons) b.setAttribute("aria-expanded", String(open !== undefined && key === `${open.caller}\n${open.class}`));
  }

  function shut(): void {
    const b = open && buttons.get(`${open.caller}\n${open.class}`);
    open = undefined;
    panel.hidden = true;
    mark();
    b?.focus();
  }

  panel.addEventListener("keydown", (e) => {
    if (e.key === "Escape") shut();
  });

  function drawPanel(d: CellDetail, shapes: Shape[]): void {
    const who = live.board?.callers.find((c) => c.name === d.caller);
    const first = d.requests.find((r) => r.verdict !== "allowed") ?? d.requests[0];
    const parts: (HTMLElement | null)[] = [
      h("div", { class: "panel-head" },
        h("h2", null, h("span", { class: "mono" }, d.caller), " asks for ", d.class.replace("-", " ")),
        h("button", { type: "button", class: "quiet", click: shut }, "Close")),
      who ? h("p", { class: "dim wrap" }, "known as ", who.principals.map((p, i) => [i ? ", " : "", h("span", { class: "mono" }, p)])) : null,
    ];
    if (d.reasons.length) {
      parts.push(h("h3", null, "Why not"), h("ul", { class: "reasons" }, d.reasons.map((r) => h("li", null, r.text, h("span", { class: "dim" }, ` ${count(r.count)} ×, last ${clock(r.last)}`)))));
    }
    parts.push(h("h3", null, "Operations"), table("Operations", ["Operation", "Allowed", "Would be denied", "Denied"],
      d.operations.map((o) => [o.id || "not understood", count(o.allowed), count(o.would_deny), count(o.denied)]), "narrow"));
    parts.push(h("h3", null, "The last requests"), requestsTable("The last requests", d.requests, false));
    if (shapes.length) {
      parts.push(h("h3", null, "What it asked for, by shape"), table("Shapes", ["Times", "Last", "Answer", "Request", "Hazards", "Paths of the host"], shapes.map((s) => [
        count(s.count), h("time", { datetime: s.last }, clock(s.last)),
        h("span", { class: `pill ${s.answer === "allow" ? "ok" : s.answer === "deny" ? "bad" : "warn"}` }, s.answer, s.code ? `, ${s.code}` : ""),
        h("span", { class: "mono wrap", title: s.uri }, `${s.method} ${short(s.uri)}`), s.hazards.join(", "), h("span", { class: "mono wrap" }, s.host_paths.join(" ")),
      ]), "requests"));
    }
    if (first && who) parts.push(h("h3", null, "On the host, as root"), ...commands(who, first));
    panel.replaceChildren(...parts.filter((p) => p !== null));
  }

  function drawCell(caller: string, cell: Cell): HTMLElement {
    const key = `${caller}\n${cell.class}`;
    let b = buttons.get(key);
    if (!b) {
      b = h("button", { type: "button", click: () => (open?.caller === caller && open.class === cell.class ? shut() : void show(caller, cell.class, true)) });
      buttons.set(key, b);
    }
    const shown = cell.worst === "denied" ? cell.denied : cell.worst === "would-deny" ? cell.would_deny : cell.allowed;
    name(b, `cell ${tone[cell.worst]}`);
    write(b, `${glyph[cell.worst]} ${count(shown)}`);
    b.setAttribute("aria-label", `${caller}, ${cell.class}: ${cell.allowed} allowed, ${cell.would_deny} would be denied, ${cell.denied} denied, last ${clock(cell.last)}`);
    b.setAttribute("aria-expanded", String(open?.caller === caller && open.class === cell.class));
    b.title = `${cell.allowed} allowed, ${cell.would_deny} would be denied, ${cell.denied} denied; last ${clock(cell.last)}${cell.last_no ? `, last no ${clock(cell.last_no)}` : ""}`;
    return b;
  }

  /** drawRows moves and makes only what is another: somebody may be about to click. */
  function drawRows(b: Board): void {
    const there = new Set(b.callers.map((c) => c.name));
    for (const [caller, row] of rows) {
      if (there.has(caller)) continue;
      row.tr.remove();
      rows.delete(caller);
      for (const [cls] of classes) buttons.delete(`${caller}\n${cls}`);
    }
    let at: Element | null = body.firstElementChild;
    for (const c of b.callers) {
      let row = rows.get(c.name);
      if (!row) {
        const cells = classes.map(() => h("td", null, h("span", { class: "none", "aria-label": "never" }, "·")));
        row = { tr: h("tr", null, h("th", { scope: "row", class: "mono", title: c.principals.join("\n") }, c.name), cells), cells };
        rows.set(c.name, row);
      }
      const by = new Map(c.cells.map((cell) => [cell.class, cell]));
      classes.forEach(([cls], i) => {
        const cell = by.get(cls);
        if (!cell) return;
        const button = drawCell(c.name, cell);
        if (button.parentElement !== row.cells[i]) row.cells[i]!.replaceChildren(button);
      });
      if (row.tr === at) at = at.nextElementSibling;
      else body.insertBefore(row.tr, at);
    }
  }

  let drawn = "";
  function draw(): void {
    const b = live.board;
    if (!b) return;
    notice(says, b);
    const key = JSON.stringify(b.callers);
    if (key === drawn) return;
    drawn = key;
    drawRows(b);
    matrix.hidden = b.callers.length === 0;
    write(since, b.callers.length === 0 ? (b.up ? "Nobody has asked yet." : "") : `Counted since ${clock(b.since)}${b.missed ? `; ${b.missed} times decisions came faster than they could be read` : ""}${b.left_out ? `; ${b.left_out} callers are left out for want of room` : ""}.`);
    if (open) {
      const cell = b.callers.find((c) => c.name === open!.caller)?.cells.find((c) => c.class === open!.class);
      const now = JSON.stringify(cell);
      if (now !== opened) {
        opened = now;
        void show(open.caller, open.class, false);
      }
    }
  }

  return { title: "Who asks Docker", el, draw, close: () => aborter?.abort() };
}

/** commands are what the page does not do: it changes nothing. */
function commands(who: Caller, r: Request): HTMLElement[] {
  const out = [commandLine(r.verdict === "allowed" ? "Say why it is allowed" : "Say why, and what the smallest change is that would allow it", explain(who.principals, r))];
  out.push(commandLine("Write the smallest role for all that it asked for", `authz-plugin learn --as ${quote(who.name)}`));
  if (r.verdict !== "allowed") out.push(commandLine("Lend it a role for half an hour, in place of ROLE one that may be lent", `authz-plugin grant --role ROLE --to ${quote(who.name)} --for 30m --reason TEXT`));
  return out;
}

/** commandLine is one to copy: the page itself changes nothing. */
export function commandLine(what: string, text: string): HTMLElement {
  const said = h("span", { class: "dim", role: "status" });
  const copy = h("button", { type: "button", class: "quiet", "aria-label": `Copy the command: ${what}`, click: () => {
    navigator.clipboard.writeText(text).then(() => write(said, "copied"), () => write(said, "it could not be copied"));
  } }, "Copy");
  return h("div", { class: "command" }, h("p", null, what, " ", said), h("div", { class: "command-line" }, h("pre", { tabindex: 0 }, h("code", null, text)), copy));
}

/** notice says why the decisions cannot be read, and what to do. */
function notice(el: HTMLElement, b: Board): void {
  el.hidden = b.up;
  if (b.up) return;
  const text = `${b.why ?? ""}\n${b.hint ?? ""}`;
  if (el.dataset.text === text) return;
  el.dataset.text = text;
  el.replaceChildren(h("h2", null, "Who asks cannot be seen from here"), h("p", null, b.why ?? ""), b.hint ? h("p", null, h("b", null, "What to do: "), b.hint) : "",
    h("p", { class: "dim" }, "The rest of the page does not need it."));
}
