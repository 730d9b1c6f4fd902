const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(v: number | undefined | null): string {
  if (v === undefined || v === null) return "–";
  let i = 0;
  while (v >= 1023.5 && i < units.length - 1) {
    v /= 1024;
    i++;
  }
  return `${i === 0 || v >= 100 ? v.toFixed(0) : v.toFixed(1)} ${units[i]}`;
}

export const rate = (v: number | undefined | null): string => (v === undefined || v === null ? "–" : v < 0.5 ? "0" : `${bytes(v)}/s`);

export function percent(v: number | undefined | null): string {
  if (v === undefined || v === null) return "–";
  return `${v >= 100 ? v.toFixed(0) : v.toFixed(1)} %`;
}

export const part = (v: number | undefined | null): string => (v === undefined || v === null ? "–" : percent(100 * v));

export function count(v: number): string {
  if (v < 10_000) return v.toFixed(0);
  if (v < 1e6) return `${(v / 1e3).toFixed(0)}k`;
  return `${(v / 1e6).toFixed(1)}M`;
}

export function number(v: number | undefined | null): string {
  if (v === undefined || v === null) return "–";
  if (Number.isInteger(v)) return v.toLocaleString("en");
  return Math.abs(v) >= 100 ? v.toFixed(0) : v.toPrecision(3);
}

/** span is a time in its largest unit. */
export function span(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86_400).toFixed(0)} days`;
}

/** clock is the time of the day, and the date if it is not today's. */
export function clock(at: string | undefined): string {
  if (!at) return "–";
  const t = new Date(at);
  if (Number.isNaN(t.getTime()) || t.getFullYear() < 1971) return "–";
  const time = t.toLocaleTimeString("en-GB");
  return t.toDateString() === new Date().toDateString() ? time : `${t.toLocaleDateString("sv")} ${time.slice(0, 5)}`;
}

/** plural is a number of things. */
export const plural = (n: number, of: string): string => `${number(n)} ${of}${n === 1 ? "" : "s"}`;

/** short leaves out most of the ids in a text. */
export const short = (s: string): string => s.replace(/[0-9a-f]{64}/g, (id) => `${id.slice(0, 12)}…`);

/** quote is a word of a shell that means the text itself. */
export function quote(s: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(s)) return s;
  if (/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(s)) {
    // What would move the cursor, or turn the text round, is written as its bytes.
    const out = Array.from(new TextEncoder().encode(s), (b) => (b > 31 && b < 127 && b !== 39 && b !== 92 ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, "0")}`));
    return `$'${out.join("")}'`;
  }
  return `'${s.replaceAll("'", `'\\''`)}'`;
}
