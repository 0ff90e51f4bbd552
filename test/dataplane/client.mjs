// Clients of the TypeScript SDK, told what to do by lines of JSON on standard input:
//   {"id": 1, "client": 1, "do": "call", …}  →  {"id": 1, "result": …} or {"id": 1, "error": "…"}
// What servers tell a client by themselves is {"client": 1, "note": "…"}. All clients end with standard input.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const clients = new Map();

const textOf = (content) => content.filter((c) => c.type === 'text').map((c) => c.text).join('');

async function all(list, member) {
  const found = [];
  let cursor;
  do {
    const page = await list({ cursor });
    found.push(...page[member]);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return found;
}

class Connected {
  constructor(number) {
    this.note = (note) => say({ client: number, note });
    this.running = new Map();
    this.client = new Client(
      { name: 'typescript', version: '1' },
      { capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: {} } },
    );
    this.client.onerror = (error) => this.note(`error ${error.message}`);
  }

  async connect({ url, root, model, name }) {
    const { client, note } = this;
    this.roots = [{ uri: root, name: 'dataplane' }];
    client.setRequestHandler(types.ListRootsRequestSchema, async () => {
      note('roots');
      return { roots: this.roots };
    });
    client.setRequestHandler(types.CreateMessageRequestSchema, async (request) => {
      note('sampling');
      const text = `sampled ${request.params.messages[0].content.text}`;
      return { role: 'assistant', model, content: { type: 'text', text } };
    });
    client.setRequestHandler(types.ElicitRequestSchema, async () => {
      note('elicitation');
      return { action: 'accept', content: { name } };
    });
    const on = (schema, text) => client.setNotificationHandler(schema, (n) => note(text(n.params)));
    on(types.ToolListChangedNotificationSchema, () => 'tools changed');
    on(types.PromptListChangedNotificationSchema, () => 'prompts changed');
    on(types.ResourceListChangedNotificationSchema, () => 'resources changed');
    on(types.ResourceUpdatedNotificationSchema, (p) => `updated ${p.uri}`);
    on(types.LoggingMessageNotificationSchema, (p) => `log ${p.level} ${p.data}`);
    this.transport = new StreamableHTTPClientTransport(new URL(url));
    await client.connect(this.transport);
  }

  async list({ what }) {
    const { client } = this;
    switch (what) {
      case 'tools':
        return (await all((p) => client.listTools(p), 'tools')).map((t) => t.name);
      case 'prompts':
        return (await all((p) => client.listPrompts(p), 'prompts')).map((p) => p.name);
      case 'resources':
        return (await all((p) => client.listResources(p), 'resources')).map((r) => r.uri);
      default:
        return (await all((p) => client.listResourceTemplates(p), 'resourceTemplates')).map((r) => r.uriTemplate);
    }
  }

  async call({ id, tool, arguments: args, token }) {
    const abort = new AbortController();
    this.running.set(id, abort);
    const options = { signal: abort.signal };
    if (token) {
      options.onprogress = (p) => this.note(`progress ${token} ${p.progress}/${p.total}`);
    }
    try {
      const result = await this.client.callTool({ name: tool, arguments: args ?? {} }, undefined, options);
      if (result.isError) {
        throw new Error(`the tool failed: ${textOf(result.content)}`);
      }
      return textOf(result.content);
    } finally {
      this.running.delete(id);
    }
  }

  async cancel({ call }) {
    this.running.get(call)?.abort('the test cancels');
  }

  async prompt({ name, arguments: args }) {
    return (await this.client.getPrompt({ name, arguments: args ?? {} })).messages[0].content.text;
  }

  async read({ uri }) {
    const { contents } = await this.client.readResource({ uri });
    return `${contents[0].uri}: ${contents[0].text ?? ''}`;
  }

  async subscribe({ uri }) {
    await this.client.subscribeResource({ uri });
  }

  async unsubscribe({ uri }) {
    await this.client.unsubscribeResource({ uri });
  }

  async complete({ name, template, argument, value }) {
    const ref = template ? { type: 'ref/resource', uri: template } : { type: 'ref/prompt', name };
    return (await this.client.complete({ ref, argument: { name: argument, value } })).completion.values;
  }

  async level({ level }) {
    await this.client.setLoggingLevel(level);
  }

  async root({ uri }) {
    this.roots.push({ uri });
    await this.client.sendRootsListChanged();
  }

  async close() {
    await this.transport.terminateSession();
    await this.client.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let connected = clients.get(command.client);
  if (!connected) {
    connected = new Connected(command.client);
    clients.set(command.client, connected);
  }
  connected[command.do](command).then(
    (result) => say({ id: command.id, result: result ?? null }),
    (error) => say({ id: command.id, error: error.message }),
  );
  if (command.do === 'close') {
    clients.delete(command.client);
  }
}
process.exit(0);
