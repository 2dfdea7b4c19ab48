// A Microsoft account for VS Code, whose tokens come from the local cloud: it stands in for the built-in provider, which
// would need Microsoft's own sign-in page.
const { readFileSync } = require("node:fs");
const vscode = require("vscode");

const user = "ada@contoso.example";

async function token(scopes) {
  const named = scopes.find((scope) => scope.startsWith("VSCODE_TENANT:"))?.slice("VSCODE_TENANT:".length);
  const answer = await fetch(`${process.env.AITK_TEST_AUTHORITY}/${named ?? "organizations"}/oauth2/v2.0/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "password",
      username: user,
      password: readFileSync(process.env.AITK_TEST_TOKEN_FILE, "utf8").trim(),
    }),
  });
  return answer.ok ? (await answer.json()).access_token : undefined;
}

exports.activate = (context) => {
  const changed = new vscode.EventEmitter();
  const asked = { created: 0, silent: [] };
  let signedIn = false;
  const sessions = async (scopes) => {
    const accessToken = signedIn ? await token(scopes) : undefined;
    return accessToken === undefined ? [] : [{ id: scopes.join(" "), accessToken, scopes, account: { id: user, label: user } }];
  };
  const provider = {
    onDidChangeSessions: changed.event,
    getSessions: async (scopes) => {
      asked.silent.push(scopes ?? []);
      return await sessions(scopes ?? []);
    },
    createSession: async (scopes) => {
      asked.created += 1;
      signedIn = true;
      const [made] = await sessions(scopes);
      changed.fire({ added: [made], removed: [], changed: [] });
      return made;
    },
    removeSession: async () => {
      signedIn = false;
    },
  };
  context.subscriptions.push(vscode.authentication.registerAuthenticationProvider("microsoft", "Microsoft", provider));
  return asked;
};
