// Runs Track FLAME in a headless browser and scrubs its curves. node curves.mjs URL SCREENSHOT [vue]   (PLAYWRIGHT, CHROMIUM as browser.mjs)
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.resolve(process.env.PLAYWRIGHT || ".", "index.js"));
const { chromium } = require("playwright-core");
const [url, shot, renderer] = process.argv.slice(2);
const GL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"];
const prompt = {
  1: { class_type: "GGTalkerLoadReferenceVideo", inputs: { file: "sample_clip.mp4", start_s: 0, end_s: 1.2, fps: 25, max_side_px: 256 } },
  2: { class_type: "GGTalkerTrackFLAME", inputs: { clip: ["1", 0], quality: "fast", smooth: renderer === "vue" ? 1.1 : 1, mode: "fast", head: "default" } },
  3: { class_type: "PreviewImage", inputs: { images: ["2", 3] } },
};

await fetch(new URL("/settings", url), {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ "Comfy.TutorialCompleted": true, "Comfy.VueNodes.Enabled": renderer === "vue", "Comfy.Minimap.Visible": false }),
});
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: GL });
try {
  const page = await browser.newPage({ viewport: { width: 1500, height: 1000 } });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error).slice(0, 300)));
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.waitForFunction(() => window.app?.graph && window.LiteGraph?.registered_node_types?.GGTalkerTrackFLAME, null, { timeout: 120000 });
  await page.waitForTimeout(2000);
  await page.evaluate(async (prompt) => {
    await window.app.loadApiJson(prompt, "prompt.json");
    await window.app.queuePrompt(0, 1);
  }, prompt);
  const ready = () => {
    const node = window.app.graph._nodes.find((one) => one.comfyClass === "GGTalkerTrackFLAME");
    const widget = node?.widgets?.find((one) => one.name === "ggtalker_curves");
    window.curves = widget?.viewer;
    window.curvesNode = node;
    return Boolean(widget?.viewer?.page);
  };
  await page.waitForFunction(ready, null, { timeout: 120000 });
  await page.evaluate(() => {
    const node = window.curvesNode;
    node.setSize([Math.max(node.size[0], 520), Math.max(node.size[1], 900)]);
    window.app.canvas.setDirty(true, true);
  });
  await page.evaluate(() => window.app.extensionManager.command?.execute("Comfy.Canvas.FitView"));
  await page.waitForTimeout(2500);
  const at = (frame) =>
    page.evaluate((frame) => {
      const view = window.curves;
      view.slider.value = frame;
      view.slider.dispatchEvent(new Event("input"));
      return { text: view.text.textContent, shown: Number(view.picture.dataset.frame), pixels: view.picture.toDataURL().length };
    }, frame);
  const found = { first: await at(0), later: await at(20), saved: null, errors };
  const box = await page.evaluate(() => {
    const { x, y, width, height } = window.curves.plot.getBoundingClientRect();
    return { x, y, width, height };
  });
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 4 });
  await page.waitForTimeout(300);
  found.pointed = await page.evaluate(() => Number(window.curves.slider.value));
  found.serialised = await page.evaluate(async () => Object.keys((await window.app.graphToPrompt()).output["2"].inputs));
  await page.screenshot({ path: shot });
  process.stdout.write(JSON.stringify(found) + "\n");
} finally {
  await browser.close();
}
