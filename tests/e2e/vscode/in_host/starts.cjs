// How long the server takes to be ready again in the editor: one line of JSON with the milliseconds of each start.
const vscode = require("vscode");

const starts = 7;

exports.run = async () => {
  // The first one makes the server's environment.
  await vscode.commands.executeCommand("aiToolkit.restartServer");
  const took_ms = [];
  for (let start = 0; start < starts; start += 1) {
    const began = performance.now();
    await vscode.commands.executeCommand("aiToolkit.restartServer");
    took_ms.push(performance.now() - began);
  }
  console.log(`starts ${JSON.stringify(took_ms)}`);
};
