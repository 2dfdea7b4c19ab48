// Source: github.com/microsoft/vscode-python/tree/main/pythonExtensionApi
const vscode = require("vscode");

exports.activate = () => ({
  environments: {
    getActiveEnvironmentPath: () => ({ id: "chosen", path: process.env.AITK_TEST_INTERPRETER }),
    resolveEnvironment: async ({ path }) => ({ executable: { uri: vscode.Uri.file(path) } }),
  },
});
