// Shows the text that a GGTalker node reports after a run, on the node itself.
import { app } from "../../../scripts/app.js";

const NAME = "ggtalker_report";

function reportElement(node) {
  const known = node.widgets?.find((widget) => widget.name === NAME);
  if (known) return known.element;
  const element = document.createElement("div");
  element.style.cssText =
    "overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;user-select:text;padding:6px;border-radius:6px;" +
    "font:11px/1.4 sans-serif;color:var(--input-text);background:var(--comfy-input-bg)";
  const widget = node.addDOMWidget(NAME, "report", element, { serialize: false, getMinHeight: () => 90 });
  widget.serialize = false;
  return element;
}

app.registerExtension({
  name: "GGTalker.Report",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("GGTalker")) return;
    const before = node.onExecuted;
    node.onExecuted = function (output, ...rest) {
      before?.call(this, output, ...rest);
      const lines = output?.[NAME];
      if (lines?.length) reportElement(this).textContent = lines.join("\n");
    };
  },
});
