// Track FLAME: curves of the track on the node, scrubbed against small pictures of the fitted head.
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";

const NAME = "ggtalker_curves";
const COLORS = ["#ff6e6e", "#f0aa46", "#5abeff", "#82dc82"];
const STYLE = "display:flex;flex-direction:column;gap:4px;padding:6px;border-radius:6px;background:var(--comfy-input-bg);font:11px/1.3 sans-serif;color:var(--input-text)";

function make(tag, style, parent) {
  const element = document.createElement(tag);
  element.style.cssText = style;
  parent?.append(element);
  return element;
}

function viewer(node) {
  const known = node.widgets?.find((widget) => widget.name === NAME);
  if (known) return known.viewer;
  const root = make("div", STYLE);
  const top = make("div", "display:flex;gap:6px;min-height:0;flex:1", root);
  const picture = make("canvas", "width:38%;object-fit:contain;object-position:top;border-radius:4px", top);
  const plot = make("canvas", "width:62%;min-width:0;min-height:150px;cursor:crosshair", top);
  const slider = make("input", "width:100%;margin:0", root);
  const text = make("div", "min-height:1.3em;white-space:pre-wrap", root);
  slider.type = "range";
  slider.setAttribute("aria-label", "frame");
  const view = { root, picture, plot, slider, text, data: null, page: null };
  slider.addEventListener("input", () => show(view));
  plot.addEventListener("pointermove", (event) => {
    if (!view.data) return;
    const box = plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    slider.value = Math.round(share * (view.data.count - 1));
    show(view);
  });
  const widget = node.addDOMWidget(NAME, "curves", root, { serialize: false, getMinHeight: () => 230 });
  widget.serialize = false;
  widget.viewer = view;
  return view;
}

function load(view, data) {
  view.data = data;
  view.slider.max = Math.max(0, data.count - 1);
  view.slider.value = 0;
  const page = new Image();
  page.onload = () => {
    view.page = page;
    show(view);
  };
  page.src = api.apiURL("/view?" + new URLSearchParams(data.page));
  show(view);
}

// The place of the entry of `list` (ascending) that is nearest to `value`.
function nearest(list, value) {
  let best = 0;
  for (let i = 1; i < list.length; i++) if (Math.abs(list[i] - value) < Math.abs(list[best] - value)) best = i;
  return best;
}

const unit = (row) => (row.unit === "deg" ? "°" : row.unit);

function show(view) {
  const { data, page } = view;
  const frame = Number(view.slider.value);
  const at = nearest(data.frames, frame);
  const values = data.rows.map((row) => `${row.name} ${row.values[at]?.toFixed(2) ?? "–"}${row.values[at] == null ? "" : unit(row)}`);
  view.text.textContent = `frame ${frame} · ${(frame / data.fps).toFixed(2)} s\n${values.join(" · ")}`;
  curves(view, frame);
  if (!page) return;
  const [width, height] = data.size;
  const k = nearest(data.shown, frame);
  view.picture.width = width;
  view.picture.height = height;
  view.picture.dataset.frame = data.shown[k];
  const column = k % data.columns, row = Math.floor(k / data.columns);
  view.picture.getContext("2d").drawImage(page, column * width, row * height, width, height, 0, 0, width, height);
}

function curves(view, frame) {
  const { data, plot } = view;
  const width = Math.max(160, plot.clientWidth || 210), height = Math.max(160, plot.clientHeight || 160), each = height / data.rows.length;
  plot.width = 2 * width;
  plot.height = 2 * height;
  const pen = plot.getContext("2d");
  pen.scale(2, 2); // sharp on dense screens and when the graph is zoomed
  const last = Math.max(1, data.count - 1);
  pen.font = "10px sans-serif";
  data.rows.forEach((row, k) => {
    const known = row.values.filter((value) => value != null);
    const low = Math.min(...known), high = Math.max(...known), span = Math.max(high - low, 1e-6);
    pen.strokeStyle = pen.fillStyle = COLORS[k % COLORS.length];
    pen.fillText(`${row.name}${known.length ? ` ${low.toFixed(1)}…${high.toFixed(1)}${unit(row)}` : ""}`, 4, k * each + 10);
    pen.lineWidth = 1.2;
    pen.beginPath();
    let down = false;
    row.values.forEach((value, i) => {
      if (value == null) {
        down = false;
        return;
      }
      const x = (data.frames[i] / last) * (width - 1), y = (k + 1) * each - 3 - ((value - low) / span) * (each - 17);
      down ? pen.lineTo(x, y) : pen.moveTo(x, y);
      down = true;
    });
    pen.stroke();
  });
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo((frame / last) * (width - 1), 0);
  pen.lineTo((frame / last) * (width - 1), height);
  pen.stroke();
}

app.registerExtension({
  name: "GGTalker.TrackCurves",
  nodeCreated(node) {
    if (node.comfyClass !== "GGTalkerTrackFLAME") return;
    const before = node.onExecuted;
    node.onExecuted = function (output, ...rest) {
      before?.call(this, output, ...rest);
      const data = output?.[NAME]?.[0];
      if (data) load(viewer(this), data);
    };
  },
});
