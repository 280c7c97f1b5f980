// Starts `srlm lsp` for open `.srlm` files.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const command = workspace.getConfiguration("srlm").get("path");
  const server = { command, args: ["lsp"] };
  client = new LanguageClient("srlm", "srlm", server, { documentSelector: [{ language: "srlm" }] });
  return client.start();
};

exports.deactivate = () => client && client.stop();
