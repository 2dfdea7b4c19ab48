// What the shell decides without asking the editor or the server.

const loopback = new Set(["127.0.0.1", "localhost", "[::1]"]);

/** Whether `address` is https, or plain http on this computer; nothing else leaves the editor. */
export function mayOpen(address: string): boolean {
  if (!URL.canParse(address)) {
    return false;
  }
  const url = new URL(address);
  const anonymous = url.username === "" && url.password === "";
  return anonymous && (url.protocol === "https:" || (url.protocol === "http:" && loopback.has(url.hostname)));
}

/** The part of a log channel that traces. */
interface Tracing {
  trace(message: string, ...args: unknown[]): void;
}

/** The channel, whose traces tell which messages went, not what was in them: a copied key or a signed link is in some. */
export function withoutPayload<Channel extends Tracing>(channel: Channel): Channel {
  const trace = (message: string): void => {
    const [first = ""] = message.split("\n");
    // With JSON as the trace's format the whole message would be in that line.
    channel.trace(first.startsWith("{") ? "(message)" : first);
  };
  return Object.create(channel, { trace: { value: trace } }) as Channel;
}

/** How often a server that dies is started again before a person is asked. */
export class RestartBudget {
  private deaths: readonly number[] = [];

  /** The `limit`-th death within `window_ms` is the last. */
  constructor(
    private readonly limit: number,
    private readonly window_ms: number,
  ) {}

  /** Whether to start again after a death at `now_ms`. */
  mayRestart(now_ms: number): boolean {
    this.deaths = [...this.deaths.filter((death_ms) => death_ms >= now_ms - this.window_ms), now_ms];
    return this.deaths.length < this.limit;
  }

  /** Forgets the deaths so far: a person asked for a fresh start. */
  reset(): void {
    this.deaths = [];
  }
}
