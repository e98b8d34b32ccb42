// A headless Chromium on a running ComfyUI: builds the UI workflows from the API ones, or checks them.
// node browser.mjs build|check URL WORKFLOW_DIR OUT_DIR [NAME...]      PLAYWRIGHT names the folder of node_modules
//   build: workflows/api/NAME.json -> OUT_DIR/NAME.json with the layout of workflow_layout.json, notes and groups, and a screenshot
//   check: opens WORKFLOW_DIR/NAME.json in both renderers; prints one JSON object; screenshots into OUT_DIR
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(path.resolve(process.env.PLAYWRIGHT || ".", "index.js"));
const { chromium } = require("playwright-core");
const here = path.dirname(fileURLToPath(import.meta.url));
const [mode, url, folder, out, ...names] = process.argv.slice(2);
const GL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"];

const read = (...parts) => JSON.parse(fs.readFileSync(path.join(...parts), "utf8"));
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function open(browser, vue) {
  await fetch(new URL("/settings", url), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ "Comfy.TutorialCompleted": true, "Comfy.VueNodes.Enabled": vue, "Comfy.Minimap.Visible": false }),
  });
  const page = await browser.newPage({ viewport: { width: 1900, height: 1000 } });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error).slice(0, 300)));
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.waitForFunction(
    () => window.app?.graph && window.app.extensionManager?.setting && window.LiteGraph?.registered_node_types?.GGTalkerWatermark,
    null,
    { timeout: 120000 },
  );
  await wait(2000);
  return { page, errors };
}

async function shoot(page, file) {
  await page.evaluate(() => window.app.extensionManager.command?.execute("Comfy.Canvas.FitView"));
  await wait(2500);
  await page.screenshot({ path: file, ...(file.endsWith(".jpg") ? { type: "jpeg", quality: 80 } : {}) });
}

async function build(browser, name) {
  const { page } = await open(browser, false);
  const layout = read(here, "workflow_layout.json")[name];
  const graph = await page.evaluate(place, { prompt: read(folder, "api", `${name}.json`), layout });
  fs.writeFileSync(path.join(out, `${name}.json`), JSON.stringify(graph, null, 1) + "\n");
  await shoot(page, path.join(out, `${name}.build.png`));
  await page.close();
}

// Runs in the page: loads the API form, puts every node where the layout says, adds notes and groups.
async function place({ prompt, layout }) {
  await window.app.loadApiJson(prompt, "prompt.json");
  const graph = window.app.graph;
  for (const node of graph._nodes) {
    const [x, y, width, height] = layout.nodes[node.id];
    const least = node.computeSize();
    node.pos = [x, y];
    node.setSize([Math.max(width, least[0]), Math.max(height ?? 0, least[1])]);
    node.properties = { ...node.properties, ...(node.type.startsWith("GGTalker") ? { cnr_id: "ggtalker" } : {}) };
  }
  for (const [text, x, y, width, height] of layout.notes ?? []) {
    const note = window.LiteGraph.createNode("MarkdownNote");
    graph.add(note);
    note.pos = [x, y];
    note.setSize([width, height]);
    note.widgets[0].value = text;
  }
  for (const [title, color, x, y, width, height] of layout.groups ?? []) {
    const group = new window.LiteGraph.LGraphGroup(title);
    graph.add(group);
    group.pos = [x, y];
    group.size = [width, height];
    group.color = color;
  }
  window.app.canvas.setDirty(true, true);
  return graph.serialize();
}

async function check(browser, name, vue) {
  const { page, errors } = await open(browser, vue);
  const workflow = read(folder, `${name}.json`);
  const types = [...new Set(workflow.nodes.map((node) => node.type))];
  const found = await page.evaluate(
    async ({ workflow, types }) => {
      await window.app.loadGraphData(workflow);
      const known = window.LiteGraph.registered_node_types;
      return {
        missing: types.filter((type) => !known[type]),
        prompt: (await window.app.graphToPrompt()).output,
        broken: window.app.graph._nodes.filter((node) => node.has_errors).map((node) => node.type),
      };
    },
    { workflow, types },
  );
  await shoot(page, path.join(out, `${name}.${vue ? "vue" : "classic"}.png`));
  await page.close();
  return { ...found, errors };
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: GL });
try {
  const result = {};
  for (const name of names) {
    if (mode === "build") await build(browser, name);
    else result[name] = { classic: await check(browser, name, false), vue: await check(browser, name, true) };
  }
  process.stdout.write(JSON.stringify(result) + "\n");
} finally {
  await browser.close();
}
