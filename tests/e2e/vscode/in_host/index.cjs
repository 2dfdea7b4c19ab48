// Tests inside the extension host: what a person in front of the window cannot see.
const assert = require("node:assert/strict");
const { readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const vscode = require("vscode");

const id = "ai-toolkit-remote-inference.ai-toolkit-remote-inference";
const vendor = id.split(".")[0];
const spoken = (hover) => hover.contents.map((part) => (typeof part === "string" ? part : part.value)).join(" ");
const about = () => vscode.extensions.getExtension(id).packageJSON;
const folder = () => vscode.workspace.workspaceFolders[0].uri;
const file = (...path) => vscode.Uri.joinPath(folder(), ...path);

async function until(wanted, limit_ms = 30_000) {
  for (const deadline = Date.now() + limit_ms; ; ) {
    const found = await wanted();
    if (found) {
      return found;
    }
    assert.ok(Date.now() < deadline, `never came: ${String(wanted)}`);
    await new Promise((next) => setTimeout(next, 100));
  }
}

/** What a model answers: its text, and the tools that it calls. */
async function asked(model, question, options = {}) {
  const turns = Array.isArray(question) ? question : [question];
  const messages = turns.map((one) => (typeof one === "string" ? vscode.LanguageModelChatMessage.User(one) : one));
  const answer = await model.sendRequest(messages, options);
  const parts = [];
  for await (const part of answer.stream) {
    parts.push(part);
  }
  return {
    text: parts.flatMap((part) => (part instanceof vscode.LanguageModelTextPart ? [part.value] : [])).join(""),
    calls: parts.filter((part) => part instanceof vscode.LanguageModelToolCallPart),
  };
}

const problems = (uri) => vscode.languages.getDiagnostics(uri).map((one) => one.message);

const tests = {
  "a folder with a project activates the extension by itself": async () => {
    await until(() => vscode.extensions.getExtension(id).isActive);
  },

  "the endpoint's model is one of the editor's, though nobody is signed in to anything": async () => {
    const [only] = await until(async () => {
      const found = await vscode.lm.selectChatModels({ vendor });
      return found.length > 0 && found;
    });
    const { text } = await asked(only, "Hello?");
    assert.equal(text, "Ahoy! user: Hello?");
    // The endpoint said by now what it serves.
    const names = await until(async () => {
      const found = await vscode.lm.selectChatModels({ vendor });
      return found.length === 2 && found.map(({ name, family }) => `${name} ${family}`);
    });
    assert.deepEqual(names, ["pirate pirate", "base org/base"]);
  },

  "tools are mapped both ways": async () => {
    const [model] = await vscode.lm.selectChatModels({ vendor, family: "pirate" });
    const tools = [{ name: "look", description: "Looks", inputSchema: { type: "object", properties: { at: { type: "string" } } } }];
    const question = vscode.LanguageModelChatMessage.User("What is there?");
    const { calls } = await asked(model, question, { tools });
    assert.deepEqual(calls.map(({ name, input, callId }) => [name, input, callId]), [["look", { at: "sea" }, "call-1"]]);
    const result = new vscode.LanguageModelToolResultPart("call-1", [new vscode.LanguageModelTextPart("a ship")]);
    const turns = [question, vscode.LanguageModelChatMessage.Assistant(calls), vscode.LanguageModelChatMessage.User([result])];

    assert.equal((await asked(model, turns, { tools })).text, "Ahoy! tool: a ship");
  },

  "an answer that nobody wants any more ends": async () => {
    const [model] = await vscode.lm.selectChatModels({ vendor, family: "pirate" });
    const leaving = new vscode.CancellationTokenSource();
    const answer = await model.sendRequest([vscode.LanguageModelChatMessage.User("forever")], {}, leaving.token);
    await assert.rejects(async () => {
      for await (const _ of answer.text) {
        leaving.cancel();
      }
      throw new vscode.CancellationError(); // The editor may end the stream without an error.
    });
  },

  "tokens are counted": async () => {
    const [model] = await vscode.lm.selectChatModels({ vendor, family: "pirate" });

    assert.equal(await model.countTokens("Ahoy! ".repeat(100)), 200);
  },

  "\"Use in chat\" takes the fine-tuned model to the editor's chat": async () => {
    const [{ id }] = await vscode.lm.selectChatModels({ vendor, family: "pirate" });
    // What the command does in the end: unlike the command it throws where the model is not found.
    await vscode.commands.executeCommand("workbench.action.chat.open", { modelSelector: { vendor, id } });
    await vscode.commands.executeCommand("aiToolkit.useInChat");
  },

  "the editor knows the server of tools, and an agent calls one of them unasked": async () => {
    await vscode.commands.executeCommand("workbench.mcp.startServer", "*", { waitForLiveTools: true });
    const tool = await until(() => vscode.lm.tools.find(({ name }) => name.endsWith("inference_status")));
    const { content } = await vscode.lm.invokeTool(tool.name, { input: {}, toolInvocationToken: undefined });
    const told = content.map((part) => String(part.value ?? "")).join("");

    assert.match(told, /"provisioned": ?true/);
  },

  "every contributed command is registered, and every registered one contributed": async () => {
    const registered = (await vscode.commands.getCommands(true)).filter(
      (one) => one.startsWith("aiToolkit.") && !one.startsWith("aiToolkit.server.") && !one.startsWith("aiToolkit.endpoint."),
    );
    const contributed = about().contributes.commands.map(({ command }) => command);

    assert.deepEqual(registered.sort(), contributed.sort());
  },

  "the two main commands are never hidden, whatever the state is": () => {
    const hidden = (about().contributes.menus?.commandPalette ?? []).map(({ command }) => command);
    for (const command of ["aiToolkit.provisionInference", "aiToolkit.deployInference"]) {
      assert.ok(!hidden.includes(command));
      assert.equal(about().contributes.commands.find((one) => one.command === command).enablement, undefined);
    }
  },

  "every setting has a default and a description, and none can be set by a workspace that is not trusted": () => {
    const { properties } = about().contributes.configuration;
    const restricted = about().capabilities.untrustedWorkspaces.restrictedConfigurations;
    for (const [name, setting] of Object.entries(properties)) {
      assert.equal(vscode.workspace.getConfiguration().inspect(name).defaultValue, setting.default);
      assert.ok(setting.markdownDescription.length > 20 && !setting.markdownDescription.includes("%"), name);
      assert.equal(setting.scope, "machine-overridable");
      assert.ok(restricted.includes(name), name);
    }
  },

  "the extension runs where the files are": () => {
    assert.equal(vscode.extensions.getExtension(id).extensionKind, vscode.ExtensionKind.Workspace);
  },

  "the schema speaks on hover, and completes names": async () => {
    const uri = file("infra", "inference.config.json");
    writeFileSync(uri.fsPath, '{\n  "ACA_APP_NAME": null\n}\n');
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document);
    const at = new vscode.Position(1, 5);
    await until(async () => {
      const found = await vscode.commands.executeCommand("vscode.executeHoverProvider", uri, at);
      return /container app/i.test(found.map(spoken).join(" "));
    });
    await until(async () => {
      const { items } = await vscode.commands.executeCommand("vscode.executeCompletionItemProvider", uri, at);
      const names = items.map((one) => String(one.label.label ?? one.label).replaceAll('"', ""));
      return names.includes("FILE_SHARE_NAME");
    });
    await vscode.commands.executeCommand("workbench.action.closeActiveEditor");
  },

  "each of the four files is described on hover, though two of them name ARM's own schema": async () => {
    const arm = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#";
    const tuned = { $schema: arm, parameters: { acaEnvironmentName: { value: null } } };
    writeFileSync(file("infra", "provision", "finetuning.parameters.json").fsPath, JSON.stringify(tuned, null, 2));
    writeFileSync(file("infra", "finetuning.config.json").fsPath, '{\n  "ACA_JOB_NAME": ""\n}\n');
    for (const [path, key, said] of [
      [["infra", "inference.config.json"], "ACA_APP_NAME", /container app/i],
      [["infra", "finetuning.config.json"], "ACA_JOB_NAME", /fine-tuned/],
      [["infra", "provision", "inference.parameters.json"], "maximumInstanceCount", /replicas/i],
      [["infra", "provision", "finetuning.parameters.json"], "acaEnvironmentName", /Fine-tuning used it/],
    ]) {
      const uri = file(...path);
      const document = await vscode.workspace.openTextDocument(uri);
      const at = document.positionAt(document.getText().indexOf(key) + 3);
      let words = "";
      await until(async () => {
        const found = await vscode.commands.executeCommand("vscode.executeHoverProvider", uri, at);
        words = found.map(spoken).join(" ").replaceAll("\\", "");
        return said.test(words);
      }).catch((error) => {
        throw new Error(`${path.join("/")}: "${words}"`, { cause: error });
      });
    }
  },

  "an example completes an empty value": async () => {
    const uri = file("infra", "finetuning.config.json");
    const document = await vscode.workspace.openTextDocument(uri);
    const at = document.positionAt(document.getText().indexOf('""') + 1);
    await until(async () => {
      const { items } = await vscode.commands.executeCommand("vscode.executeCompletionItemProvider", uri, at);
      return items.some((one) => String(one.label.label ?? one.label).includes("aiacajobabcde"));
    });
  },

  "an unknown key is a problem with a quick fix, and goes when the fix is applied": async () => {
    const uri = file("infra", "inference.config.json");
    const path = uri.fsPath;
    writeFileSync(path, '{\n  "ACA_APP_NAMES": "a"\n}\n');
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document);
    await until(() => problems(uri).some((one) => one.includes("ACA_APP_NAMES")));
    const [problem] = vscode.languages.getDiagnostics(uri).filter((one) => one.message.includes("ACA_APP_NAMES"));
    const fixes = await vscode.commands.executeCommand("vscode.executeCodeActionProvider", uri, problem.range);
    const fix = fixes.find((one) => one.edit !== undefined);
    assert.ok(fix, fixes.map((one) => one.title).join(", "));
    await vscode.workspace.applyEdit(fix.edit);

    assert.match(document.getText(), /"ACA_APP_NAME"/);
    await until(() => !problems(uri).some((one) => one.includes("ACA_APP_NAMES")));
    await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
  },

  "nobody was asked to sign in, and no account was touched, while files were only read": () => {
    const asked = vscode.extensions.getExtension("ai-toolkit-tests.in-host").exports;

    // VS Code's own menu of accounts asks too, for no scope.
    assert.deepEqual({ ...asked, silent: asked.silent.filter((scopes) => scopes.length > 0) }, { created: 0, silent: [] });
  },

  "its own strings exist in the bundle": () => {
    const bundle = JSON.parse(
      readFileSync(join(vscode.extensions.getExtension(id).extensionPath, "l10n/bundle.l10n.json"), "utf8"),
    );

    assert.ok(Object.keys(bundle).length > 10);
  },
};

/** Each failure with its test's name; VS Code makes the exit code of it. */
exports.run = async () => {
  const failures = [];
  for (const [name, run] of Object.entries(tests)) {
    try {
      await run();
      console.log(`ok: ${name}`);
    } catch (error) {
      console.error(`not ok: ${name}: ${error.stack ?? error}`);
      failures.push(name);
    }
  }
  if (failures.length > 0) {
    throw new Error(`${failures.length} of ${Object.keys(tests).length} failed: ${failures.join("; ")}`);
  }
};
