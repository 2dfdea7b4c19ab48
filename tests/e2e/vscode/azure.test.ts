// Provision on Azure, as the local cloud plays it, with VS Code's own Microsoft account: every pick, with Back.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Editor } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";
const run = promisify(execFile);
const provision = "AI Toolkit: Provision Azure Container Apps for inference";
const user = "ada@contoso.example";
const research = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const directory = {
  user,
  tenants: [
    {
      id: "11111111-1111-4111-8111-111111111111",
      name: "Contoso",
      domain: "contoso.example",
      subscriptions: [
        { id: research, name: "Research" },
        { id: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", name: "Closed", state: "Disabled" },
      ],
    },
    {
      id: "33333333-3333-4333-8333-333333333333",
      name: "Northwind",
      subscriptions: [{ id: "cccccccc-cccc-4ccc-8ccc-cccccccccccc", name: "Partner" }],
    },
    { id: "22222222-2222-4222-8222-222222222222", name: "Fabrikam", refuses: "AADSTS50076: You must use MFA." },
  ],
};

async function aitk(...args: readonly string[]): Promise<void> {
  await run(python, ["-m", "ai_toolkit.cli.commands", ...args]);
}

describe("provisioning on Azure with the editor's own account", () => {
  let root: string;
  let workspace: string;
  let editor: Editor;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), "aitk-azure-"));
    workspace = join(root, "project");
    const home = join(root, "azure");
    process.env["AITK_LOCAL_CLOUD_HOME"] = home;
    await aitk("init", workspace);
    await aitk("local-cloud", "start", "--tls");
    await writeFile(join(home, "directory.json"), JSON.stringify(directory));
    const address = JSON.parse(await readFile(join(home, "address.json"), "utf8")) as Record<string, string>;
    editor = await Editor.open({
      workspace,
      settings: { "aiToolkit.server.environment": python },
      environment: {
        AITK_RESOURCE_MANAGER: address["resourceManagerTls"] ?? "",
        REQUESTS_CA_BUNDLE: join(home, "tls/ca.pem"),
        AITK_TEST_AUTHORITY: address["resourceManager"] ?? "",
        AITK_TEST_TOKEN_FILE: join(home, "token"),
      },
      account: true,
    });
  });
  after(async () => {
    await editor[Symbol.asyncDispose]();
    await aitk("local-cloud", "stop");
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  });

  test("nobody is signed in: a line says so, and VS Code asks only after \"Sign in to Azure…\"", async () => {
    await editor.status("Inference: not provisioned").waitFor(); // its output is there from then on
    await editor.output(); // so that the preview is in sight when Provision asks
    await editor.command(provision);
    await editor.question.getByText("(1/3)").waitFor();
    await editor.choose("An Azure subscription…");
    await editor.row("Not signed in").waitFor();
    assert.equal(await editor.page.locator(".monaco-dialog-box").count(), 0);
    await editor.screenshot("azure-signed-out");
    await editor.choose("Sign in to Azure…");
    await editor.page.locator(".monaco-dialog-box", { hasText: "wants to sign in using Microsoft" }).waitFor();
    await editor.page.locator(".monaco-dialog-box .monaco-button", { hasText: "Allow" }).click();

    await editor.row("Northwind").waitFor();
    await editor.row("Fabrikam").getByText("no Microsoft account is signed in for the tenant").waitFor();
    const shown = await editor.page.locator(".quick-input-widget input").first().getAttribute("placeholder");
    assert.equal(shown, `Choose a tenant. Signed in as ${user} (VS Code)`);
    await editor.screenshot("azure-tenants");
  });

  test("Back leads from the location to the first question, and forth again; a disabled line is not taken", async () => {
    const back = async (): Promise<void> => {
      await editor.question.getByRole("button", { name: "Back" }).click();
    };
    const groupName = editor.page.locator(".quick-input-message", { hasText: "Name of the new resource group" });
    await editor.choose("Fabrikam");
    await editor.choose("Contoso");
    await editor.choose("Closed");
    await editor.choose("Research");
    await editor.choose("Create new resource group…");
    await groupName.waitFor();
    await editor.box.fill("ends.");
    await editor.page.locator(".quick-input-message", { hasText: "no period at the end" }).waitFor();
    await editor.box.fill("from-vscode");
    await editor.screenshot("azure-group");
    await editor.box.press("Enter");
    await editor.row("West US 3").waitFor();
    await back();
    await groupName.waitFor();
    assert.equal(await editor.box.inputValue(), "from-vscode");
    await back();
    await editor.row("Create new resource group…").waitFor();
    await back();
    await editor.row("Research").waitFor();
    await back();
    await editor.row("Northwind").waitFor();
    await back();
    await editor.row("This computer").waitFor();
    assert.equal(await editor.question.getByRole("button", { name: "Back" }).count(), 0);
    await editor.choose("An Azure subscription…");
    await editor.choose("Contoso");
    await editor.choose("Research");
    await editor.choose("Create new resource group…");
    await groupName.waitFor();
    await editor.box.press("Enter");
    await editor.choose("East US"); // the shipped list of prices has it
  });

  test("the resources are made there, the account stands in the output, its tokens do not", async () => {
    await editor.row("Provision").first().waitFor({ timeout: 50_000 });
    const preview = editor.page.locator(".part.panel .view-line", { hasText: /an\shour|list\sof\sprices/ });
    await preview.first().waitFor();
    await editor.picture("preview");
    await editor.choose("Provision");
    await editor.notification("Provisioned for inference").waitFor({ timeout: 60_000 });
    const text = await readFile(join(workspace, "infra/inference.config.json"), "utf8");
    const config = JSON.parse(text) as Record<string, string>;
    const output = await editor.outputLog();

    assert.equal(config["SUBSCRIPTION_ID"], research);
    assert.equal(config["RESOURCE_GROUP_NAME"], "from-vscode");
    assert.match(output, new RegExp(`Signed in as ${user} \\(VS Code\\)`));
    assert.doesNotMatch(output, /eyJ/);
    await editor.status("Inference: provisioned").waitFor();
    await editor.clearNotifications();
  });

  test("what the config file names comes first and marked", async () => {
    await editor.command(provision);
    await editor.row("An Azure subscription…").getByText(`current: ${research}`).waitFor();
    await editor.choose("An Azure subscription…");
    await editor.row("Contoso").getByText("current").waitFor();
    await editor.choose("Contoso");
    await editor.row("Research").getByText("current").waitFor();
    await editor.choose("Research");
    await editor.row("from-vscode").getByText("current").waitFor();
    const [first] = await editor.page.locator(".quick-input-list .monaco-list-row").allTextContents();
    assert.match(first ?? "", /from-vscode/);
    await editor.screenshot("azure-current");
    await editor.page.keyboard.press("Escape");
    await editor.notification("Cancelled: nothing was changed").waitFor();
    await editor.clearNotifications();
  });

  test("the local cloud stops and starts by command", async () => {
    const answers = async (): Promise<boolean> => {
      const { stdout } = await run(python, ["-m", "ai_toolkit.cli.commands", "local-cloud", "status", "--json"]);
      return (JSON.parse(stdout) as { readonly running: boolean }).running;
    };
    await editor.command("AI Toolkit: Stop local cloud");
    await editor.notification("The local cloud is stopped.").waitFor();
    assert.equal(await answers(), false);
    await editor.command("AI Toolkit: Start local cloud");
    await editor.notification(/The local cloud runs: http:\/\/127\.0\.0\.1:\d+/).waitFor();
    assert.equal(await answers(), true);
  });
});
