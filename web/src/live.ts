// What the monitor tells while the page is open: a stream of JSON lines, and answers to questions.
import type { Board, Sparks, State } from "./types";

export interface Live {
  state?: State;
  board?: Board;
  /** sparks are the last quarter of an hour of each container, in steps of 15 s. */
  sparks: Map<string, Spark>;
  connected: boolean;
  error: string;
}

export interface Spark {
  cpu: (number | null)[];
  memory: (number | null)[];
}

const step = 15;
const steps = 60;
const tokenKey = "vitrine-token";

export class Unauthorized extends Error {}

/** ask gets a path of the API. The token is kept for this tab, and is no cookie: no other site's request has it. */
export async function ask(path: string, signal?: AbortSignal): Promise<Response> {
  const token = sessionStorage.getItem(tokenKey);
  const resp = await fetch(path, { signal: signal ?? null, headers: token ? { authorization: `Bearer ${token}` } : {} });
  if (resp.status === 401) throw new Unauthorized();
  if (!resp.ok) throw new Error((await resp.text()).trim() || `it answers ${resp.status}`);
  return resp;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await ask(path, signal)).json()) as T;
}

export function setToken(token: string): void {
  sessionStorage.setItem(tokenKey, token);
}

export const live: Live = { sparks: new Map(), connected: false, error: "" };

type Listener = (what: "state" | "board" | "connection") => void;
const listeners = new Set<Listener>();

export function onLive(f: Listener): () => void {
  listeners.add(f);
  return () => listeners.delete(f);
}

function tell(what: "state" | "board" | "connection"): void {
  for (const f of listeners) f(what);
}

/** follow reads the stream for ever; it ends only when a token is wanted. */
export async function follow(): Promise<void> {
  for (;;) {
    try {
      const resp = await ask("api/live");
      await loadSparks();
      live.connected = true;
      live.error = "";
      tell("connection");
      await read(resp);
      live.error = "the stream has ended";
    } catch (e) {
      if (e instanceof Unauthorized) {
        live.connected = false;
        tell("connection");
        throw e;
      }
      live.error = e instanceof TypeError ? "the monitor does not answer" : e instanceof Error ? e.message : String(e);
    }
    live.connected = false;
    tell("connection");
    await new Promise((r) => setTimeout(r, 2000));
  }
}

async function read(resp: Response): Promise<void> {
  const reader = resp.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line) take(JSON.parse(line) as { state?: State; board?: Board });
  }
}

function take(frame: { state?: State; board?: Board }): void {
  if (frame.state) {
    live.state = frame.state;
    addSparks(frame.state);
    tell("state");
  }
  if (frame.board) {
    live.board = frame.board;
    tell("board");
  }
}

let sparkStep = 0;

async function loadSparks(): Promise<void> {
  const got = await get<Sparks>("api/sparks");
  live.sparks.clear();
  for (const [id, [cpu, memory]] of Object.entries(got)) live.sparks.set(id, { cpu, memory });
  sparkStep = Math.floor(Date.now() / 1000 / step);
}

/** addSparks adds a point each step; within a step the last point is what is newest. */
function addSparks(state: State): void {
  const now = Math.floor(new Date(state.time).getTime() / 1000 / step);
  const next = now > sparkStep;
  sparkStep = Math.max(now, sparkStep);
  const there = new Set<string>();
  for (const c of state.containers) {
    there.add(c.id);
    let s = live.sparks.get(c.id);
    if (!s) live.sparks.set(c.id, (s = { cpu: [], memory: [] }));
    for (const [list, v] of [[s.cpu, c.cpu], [s.memory, c.memory]] as const) {
      if (next || list.length === 0) list.push(v ?? null);
      else list[list.length - 1] = v ?? null;
      if (list.length > steps) list.shift();
    }
  }
  if (next) for (const id of live.sparks.keys()) if (!there.has(id)) live.sparks.delete(id);
}
