// The JSON of /api/, as docs/page.md has it.

export type Severity = "note" | "warning" | "critical";

export interface Problem {
  code: string;
  severity: Severity;
  text: string;
  since?: string;
}

export interface Container {
  id: string;
  name: string;
  image: string;
  state: string;
  health?: string;
  started?: string;
  tags: string[];
  problems?: Problem[];
  cpu?: number;
  throttled?: number;
  memory?: number;
  limit?: number;
  full_in?: number;
  net_in?: number;
  net_out?: number;
  disk?: number;
  threads?: number;
  restarts: number;
  kills: number;
}

export interface Happened {
  time: string;
  kind: "oom-kill" | "exit";
  id: string;
  name: string;
  text: string;
  bad: boolean;
}

export interface State {
  time: string;
  engine: { up: boolean; why?: string; gaps: number; unanswered?: number };
  running: number;
  stopped: number;
  trouble: number;
  containers: Container[];
  gone: { id: string; name: string; at: string }[];
  events: Happened[];
}

export type Verdict = "allowed" | "would-deny" | "denied";

export interface Cell {
  class: string;
  allowed: number;
  would_deny: number;
  denied: number;
  worst: Verdict;
  last: string;
  last_no?: string;
}

export interface Caller {
  name: string;
  kind: string;
  principals: string[];
  cells: Cell[];
}

export interface Board {
  socket: string;
  up: boolean;
  why?: string;
  hint?: string;
  since?: string;
  guard: { asked?: boolean; revision?: string; source?: string; checks?: Record<string, string> };
  denied_hour: number;
  would_deny_hour: number;
  allowed_hour: number;
  missed: number;
  left_out: number;
  callers: Caller[];
}

export interface Request {
  time: string;
  id: string;
  caller: string;
  operation: string;
  method: string;
  uri: string;
  verdict: Verdict;
  reasons: string[];
  code?: string;
}

export interface CellDetail {
  caller: string;
  class: string;
  operations: { id: string; allowed: number; would_deny: number; denied: number }[];
  reasons: { text: string; count: number; last: string }[];
  requests: Request[];
}

export interface Shape {
  count: number;
  first: string;
  last: string;
  operation: string;
  method: string;
  uri: string;
  hazards: string[];
  host_paths: string[];
  answer: string;
  code?: string;
}

export interface Sent {
  name: string;
  type: string;
  tags: string[];
  value: number | null;
  p95?: number;
  max?: number;
  total?: number;
}

export interface Detail extends Container {
  created?: string;
  exit_code?: number;
  networks: string[];
  numbers: { metric: string; labels?: Record<string, string>; value: number; rate: boolean; help: string }[];
  checks: { check: string; status: string; message?: string; time: string }[];
  events: Happened[];
  gone?: string;
  sent: Sent[];
  touched: Request[];
}

export interface History {
  from: string;
  step: number;
  values: Record<string, (number | null)[]>;
}

export type Sparks = Record<string, [(number | null)[], (number | null)[]]>;

interface From {
  origin: string;
  container_id?: string;
  container_name?: string;
}

export interface DogStatsD {
  time?: string;
  interval_seconds: number;
  quota: number;
  senders: (From & { contexts: number; quota_used: number; messages_refused: number; timestamps_refused: number; events: Record<string, number>; service_checks: Record<string, number> })[];
  events: (From & { time?: string; title?: string; text?: string; alert_type?: string; tags: string[] })[];
  service_checks: (From & { time?: string; check?: string; status?: string; message?: string; tags: string[] })[];
  refused_lines: (From & { reason: string; count: number; example: string; time: string })[];
  left_out: number;
}
