// Elements are made from text, never from HTML: what containers call themselves cannot become a tag.

type Child = Node | string | number | null | undefined | false | Child[];
type Attrs = Record<string, string | number | boolean | null | undefined | ((e: never) => void)>;

function fill(el: Element, children: Child[]): void {
  for (const c of children) {
    if (c === null || c === undefined || c === false) continue;
    if (Array.isArray(c)) fill(el, c);
    else el.append(c instanceof Node ? c : String(c));
  }
}

function set(el: Element, attrs: Attrs | null): void {
  for (const [name, v] of Object.entries(attrs ?? {})) {
    if (typeof v === "function") el.addEventListener(name, v as EventListener);
    else if (v === true) el.setAttribute(name, "");
    else if (v !== false && v !== null && v !== undefined) el.setAttribute(name, String(v));
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attrs: Attrs | null, ...children: Child[]): HTMLElementTagNameMap[K] {
  const el = document.createElement(tag);
  set(el, attrs);
  fill(el, children);
  return el;
}

export function svg(tag: string, attrs: Attrs, ...children: Child[]): SVGElement {
  const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(el, attrs);
  fill(el, children);
  return el;
}

/** write changes a text only if it is another, so that nothing is laid out anew for nothing. */
export function write(el: Element, text: string): void {
  if (el.textContent !== text) el.textContent = text;
}

export function name(el: Element, cls: string): void {
  if (el.className !== cls) el.className = cls;
}

export function byId(id: string): HTMLElement {
  const el = document.getElementById(id);
  if (!el) throw new Error(`no element ${id}`);
  return el;
}

/** table makes one with a caption that only a screen reader tells. */
export function table(caption: string, head: string[], rows: Child[][], cls = ""): HTMLElement {
  return scroller(
    caption,
    h("table", { class: cls },
      h("caption", { class: "sr" }, caption),
      h("thead", null, h("tr", null, head.map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, rows.map((r) => h("tr", null, r.map((c) => h("td", null, c)))))),
  );
}

/** scroller is a region that a keyboard can scroll, if it is too wide. */
export function scroller(label: string, ...children: Child[]): HTMLElement {
  return h("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, children);
}
