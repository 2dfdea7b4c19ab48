/** How often a server that dies is started again before a person is asked. */
export class RestartBudget {
  private readonly deaths: number[] = [];

  /** `deaths`-th death within `window_ms` of the first is the last. */
  constructor(
    private readonly limit: number,
    private readonly window_ms: number,
  ) {}

  /** Whether to start again after a death at `now_ms`. */
  mayRestart(now_ms: number): boolean {
    this.deaths.push(now_ms);
    while ((this.deaths[0] ?? now_ms) < now_ms - this.window_ms) {
      this.deaths.shift();
    }
    return this.deaths.length < this.limit;
  }

  /** Forgets the deaths so far: a person asked for a fresh start. */
  reset(): void {
    this.deaths.length = 0;
  }
}
