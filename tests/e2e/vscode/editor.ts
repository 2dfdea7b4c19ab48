// A real VS Code in a real browser: code-server with our extension, driven through what a person sees.
import type { ChildProcess } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { after } from "node:test";
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core";
import { answering, cleanEnvironment, finished, freePort, limit_ms, packed, start, stopped, vsix, withoutMicrosoftsAccounts } from "./code_server.ts";

const here = import.meta.dirname;
const browserProgram = process.env["AITK_CHROMIUM"] ?? "/usr/bin/chromium";
const screenshots = process.env["AITK_SCREENSHOTS"] ?? join(here, "screenshots");
/** Where the README's pictures go, when they are to be made anew: `AITK_PICTURES=extension/images`. */
const pictures = process.env["AITK_PICTURES"];

/** One Chromium for all editors of a file; each has a context of its own. */
let running: Promise<Browser> | undefined;

/** Ends that Chromium. Tests end it by themselves; a program that is none must, or it never ends. */
export async function closeBrowser(): Promise<void> {
  await (await running)?.close();
}

after(closeBrowser);

export interface Options {
  /** The folder to open, or a `.code-workspace` file. */
  readonly workspace: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Restricted Mode where false: the folder is not trusted, and nobody is asked. */
  readonly trusted?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether `in_host` is VS Code's provider of Microsoft accounts, instead of the built-in one. */
  readonly account?: boolean;
  /** Folders here of further extensions to install. */
  readonly extensions?: readonly string[];
  /** Changes the folder of installed extensions before the editor starts. */
  readonly stock?: (installed: string) => Promise<void>;
  /** A module whose `run` is called inside the extension host; its outcome is `hostTests`. */
  readonly tests?: string;
}

/** How tests inside the extension host ended, and what they wrote to the console. */
export interface HostTests {
  readonly code: number;
  readonly log: readonly string[];
}

export class Editor implements AsyncDisposable {
  readonly #server: ChildProcess;
  /** The folder of settings and storage, empty at first. */
  readonly profile: string;
  readonly context: BrowserContext;
  readonly page: Page;
  /** Every address that a page had when its document began, fragments too. */
  readonly addresses: string[] = [];
  /** Settled when the tests inside the extension host end; never where there are none. */
  readonly hostTests: Promise<HostTests>;
  readonly #hostTestsEnd: (outcome: HostTests) => void;

  private constructor(server: ChildProcess, context: BrowserContext, page: Page, profile: string) {
    this.#server = server;
    this.profile = profile;
    let end: (outcome: HostTests) => void = () => undefined;
    this.hostTests = new Promise((resolve) => {
      end = resolve;
    });
    this.#hostTestsEnd = end;
    this.context = context;
    this.page = page;
  }

  /** The editor with its workbench in sight; the extension is installed into an empty profile. */
  static async open(options: Options): Promise<Editor> {
    const profile = await mkdtemp(join(tmpdir(), "aitk-editor-"));
    const settings = {
      "workbench.startupEditor": "none",
      "telemetry.telemetryLevel": "off",
      "chat.disableAIFeatures": true,
      "workbench.tips.enabled": false,
      "workbench.secondarySideBar.defaultVisibility": "hidden",
      "security.workspace.trust.startupPrompt": "never",
      "security.workspace.trust.banner": "never",
      ...options.settings,
    };
    await mkdir(join(profile, "user/User"), { recursive: true });
    await writeFile(join(profile, "user/User/settings.json"), JSON.stringify(settings));
    await writeFile(join(profile, "config.yaml"), "auth: none\ncert: false\n");
    const flags = [
      ...["--config", join(profile, "config.yaml")],
      ...["--user-data-dir", join(profile, "user")],
      ...["--extensions-dir", join(profile, "extensions")],
    ];
    const environment = { ...cleanEnvironment(profile), ...options.environment };
    const others = [...(options.account === true ? ["in_host"] : []), ...(options.extensions ?? [])];
    const installed = [vsix, ...(await Promise.all(others.map((name) => packed(name, profile))))];
    await finished(start([...flags, ...installed.flatMap((one) => ["--install-extension", one])], environment, profile));
    await options.stock?.(join(profile, "extensions"));
    const port = await freePort();
    const server = start(
      [
        ...flags,
        ...["--bind-addr", `127.0.0.1:${port}`],
        ...["--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"],
        ...(options.trusted === false ? [] : ["--disable-workspace-trust"]),
        // Or the extension host and the Python server outlive the page by hours.
        ...["--reconnection-grace-time", "5"],
        ...(options.tests === undefined ? [] : ["--vscode-option", "enable-smoke-test-driver"]),
        ...(options.account !== true ? [] : ["--vscode-option", await withoutMicrosoftsAccounts(profile)]),
        ...["--link-protection-trusted-domains", "*.azurecontainerapps.io"],
        options.workspace,
      ],
      environment,
      profile,
    );
    let context: BrowserContext | undefined;
    try {
      const address = `http://127.0.0.1:${port}`;
      running ??= chromium.launch({ executablePath: browserProgram, args: ["--no-sandbox"] });
      const browser = await running;
      await answering(`${address}/healthz`, server);
      context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
      context.setDefaultTimeout(limit_ms);
      await context.grantPermissions(["clipboard-read", "clipboard-write"]);
      const page = await context.newPage();
      const editor = new Editor(server, context, page, profile);
      await editor.#watchAddresses();
      await editor.#listenToHostTests();
      await page.goto(`${address}/${addition(port, options)}`);
      await page.locator(".monaco-workbench").waitFor();
      return editor;
    } catch (error) {
      await context?.close();
      await stopped(server);
      throw error;
    }
  }

  /** Runs a command from the palette; contributed commands appear some seconds after the workbench. */
  async command(title: string): Promise<void> {
    // The Enter key, not the mouse: a row's tooltip may lie above the row.
    const row = this.page.locator(".quick-input-list .monaco-list-row.focused", { hasText: title });
    for (const deadline = Date.now() + limit_ms; ; ) {
      await this.page.keyboard.press("F1");
      try {
        // The key is lost while a page within the page, such as the walkthrough's, has the focus.
        await this.box.fill(`>${title}`, { timeout: 2_000 });
        await row.waitFor({ timeout: 2_000 });
        await this.box.press("Enter");
        return;
      } catch (error) {
        if (Date.now() > deadline) {
          throw error;
        }
        await this.page.keyboard.press("Escape");
      }
    }
  }

  /** The box of the question that is open. */
  get box(): Locator {
    return this.page.locator(".quick-input-widget input").locator("visible=true").first();
  }

  /** The open question's title bar, with its step. */
  get question(): Locator {
    return this.page.locator(".quick-input-widget .quick-input-titlebar");
  }

  row(label: string): Locator {
    return this.page.locator(".quick-input-list .monaco-list-row", { hasText: label });
  }

  /**
   * Takes the line of an open question with the mouse. The mouse is led away first: where it still lies from the
   * question before, another line's tooltip opens, which covers the lines beside it for as long as the mouse stays.
   */
  async choose(label: string, options: { readonly timeout?: number } = {}): Promise<void> {
    const row = this.row(label).first();
    await row.waitFor(options);
    await this.page.mouse.move(640, 600);
    await row.click();
  }

  notification(text: string | RegExp): Locator {
    return this.page.locator(".notifications-toasts .notification-toast", { hasText: text });
  }

  /** The status bar's item with this text. */
  status(text: string): Locator {
    return this.page.locator(".statusbar-item", { hasText: text });
  }

  /** Leaves the page, does the work when its server is gone, and comes back. */
  async reload(work: () => Promise<void>): Promise<void> {
    const address = this.page.url();
    await this.page.goto("about:blank");
    await until(async () => (await serversOf(this.profile)) === 0);
    await work();
    await this.page.goto(address);
    await this.page.locator(".monaco-workbench").waitFor();
  }

  /** Clears them until none is in sight: one may come while the others go. */
  async clearNotifications(): Promise<void> {
    const toast = this.page.locator(".notification-toast").first();
    for (const deadline = Date.now() + limit_ms; ; ) {
      await this.command("Notifications: Clear All Notifications");
      try {
        await toast.waitFor({ state: "hidden", timeout: 3_000 });
        return;
      } catch (error) {
        if (Date.now() > deadline) {
          throw error;
        }
      }
    }
  }

  async clipboard(): Promise<string> {
    return await this.page.evaluate("navigator.clipboard.readText()");
  }

  async press(notification: string | RegExp, button: string): Promise<void> {
    await this.notification(notification).locator(".monaco-button", { hasText: button }).click();
  }

  /** Every line in sight of our output channel. */
  async output(): Promise<string> {
    await this.command("Output: Show Output Channels...");
    await this.page.locator(".quick-input-list").getByText("AI Toolkit", { exact: true }).first().click();
    const lines = this.page.locator(".part.panel .view-line");
    await lines.first().waitFor();
    return (await lines.allTextContents()).join("\n").replaceAll("\u00a0", " ");
  }

  /** All that our output channel has been told, also what is not in sight. */
  async outputLog(): Promise<string> {
    const logs = join(this.profile, "user/logs");
    const files = (await readdir(logs, { recursive: true })).filter((name) => name.endsWith("/AI Toolkit.log"));
    return (await Promise.all(files.map((name) => readFile(join(logs, name), "utf8")))).join("");
  }

  async screenshot(name: string, page: Page = this.page): Promise<void> {
    await mkdir(screenshots, { recursive: true });
    // A notification that slides in is half transparent; a spinner never ends.
    const still = "document.getAnimations().every((one) => one.playState !== 'running')";
    await page.waitForFunction(still, null, { timeout: 1_000 }).catch(() => undefined);
    await page.screenshot({ path: join(screenshots, `${name}.png`) });
  }

  /** A picture of the README: a screenshot, which also goes to `AITK_PICTURES` when that is set. */
  async picture(name: string, page: Page = this.page): Promise<void> {
    await this.screenshot(name, page);
    if (pictures !== undefined) {
      await copyFile(join(screenshots, `${name}.png`), join(resolve(pictures), `${name}.png`));
    }
  }

  /** A page may change its address before anybody could look, as the sign-in page does. */
  async #watchAddresses(): Promise<void> {
    const mark = "aitk address ";
    this.context.on("console", (message) => {
      if (message.text().startsWith(mark)) {
        this.addresses.push(message.text().slice(mark.length));
      }
    });
    await this.context.addInitScript(`if (window === top) console.debug(${JSON.stringify(mark)} + location.href)`);
  }

  /** The page hands over what the extension host's tests say and how they end. */
  async #listenToHostTests(): Promise<void> {
    const log: string[] = [];
    await this.page.exposeFunction("codeAutomationLog", (_kind: string, parts: readonly unknown[]) => {
      log.push(parts.map(String).join(" "));
    });
    await this.page.exposeFunction("codeAutomationExit", (code: number) => {
      this.#hostTestsEnd({ code, log });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What was in sight at the end, for whoever wonders why a test failed.
    await this.screenshot(`last-${basename(process.argv[1] ?? "", ".test.ts")}`).catch(() => undefined);
    await this.context.close();
    await stopped(this.#server);
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What makes the workbench run tests inside its extension host. */
function addition(port: number, options: Options): string {
  const remote = (path: string): string => `vscode-remote://127.0.0.1:${port}${path}`;
  if (options.tests === undefined) {
    return "";
  }
  const payload = [
    ["extensionDevelopmentPath", remote(dirname(options.tests))],
    ["extensionTestsPath", remote(options.tests)],
  ];
  return `?${new URLSearchParams({ folder: options.workspace, payload: JSON.stringify(payload) }).toString()}`;
}

/** How many processes have the profile in their command line or environment and run the Python server. */
async function serversOf(profile: string): Promise<number> {
  let found = 0;
  for (const name of await readdir("/proc")) {
    const read = (file: string): Promise<string> => readFile(join("/proc", name, file), "utf8").catch(() => "");
    if (/^\d+$/.test(name) && (await read("cmdline")).includes("ai_toolkit.cli.commands")) {
      found += (await read("environ")).includes(profile) ? 1 : 0;
    }
  }
  return found;
}

/** Polls until `wanted` holds. */
export async function until(wanted: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + limit_ms; !(await wanted()); ) {
    if (Date.now() > deadline) {
      throw new Error(`never came: ${wanted.toString()}`);
    }
    await new Promise((next) => setTimeout(next, 100));
  }
}

/** Reads a file of JSON lines until `wanted` holds. */
export async function recorded(file: string, wanted: (lines: readonly unknown[]) => boolean): Promise<readonly unknown[]> {
  let lines: readonly unknown[] = [];
  for (const deadline = Date.now() + limit_ms; Date.now() < deadline; ) {
    const text = await readFile(file, "utf8").catch(() => "");
    lines = text.split("\n").filter((line) => line !== "").map((line): unknown => JSON.parse(line));
    if (wanted(lines)) {
      return lines;
    }
    await new Promise((next) => setTimeout(next, 50));
  }
  throw new Error(`${dirname(file)} holds only ${JSON.stringify(lines)}`);
}
