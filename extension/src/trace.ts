/** The part of a log channel that traces. */
interface Tracing {
  trace(message: string, ...args: unknown[]): void;
}

/**
 * The channel, whose traces tell which messages went, not what was in them: a copied key or a signed link is in some.
 */
export function withoutPayload<Channel extends Tracing>(channel: Channel): Channel {
  const trace = (message: string): void => {
    const [first = ""] = message.split("\n");
    // With JSON as the trace's format the whole message would be in that line.
    channel.trace(first.startsWith("{") ? "(message)" : first);
  };
  return Object.create(channel, { trace: { value: trace } }) as Channel;
}
