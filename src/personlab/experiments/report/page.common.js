// What all charts share. The page puts these files one after the other into one function.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const LIGHT = {
  ground: "#ffffff", ink: "#1c2330", soft: "#596273", rule: "#e1e4ea",
  colours: ["#0072b2", "#c85200", "#00805d", "#b0568c", "#a66f00", "#2f8fd0", "#6f5fc0", "#5c6470"],
};
const DARK = {
  ground: "#14171c", ink: "#e6e9ef", soft: "#a3acbb", rule: "#2c323c",
  colours: ["#58aef0", "#ff8f52", "#46cf9f", "#eb9fcb", "#f0b64a", "#9ad6ff", "#b3a6ff", "#b9bec8"],
};
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "star"];
const AXES = { step: "steps", samples: "samples seen", hours: "hours of training" };
const CONFIG = { displayModeBar: false, responsive: true };
const dark = window.matchMedia("(prefers-color-scheme: dark)");
let printing = false;
let theme = LIGHT;
const shown = new Set(data.runs.keys());

// Plotly reads text as a kind of HTML: names must stay text.
const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const brief = (text, most) => safe(text.length > most ? text.slice(0, most - 1) + "…" : text);
const labelOf = (run) => data.runs[run].label;
const grouped = data.settings.length < data.runs.length;
const colourIndex = (run) => (grouped ? data.runs[run].setting : run);
const colour = (index) => theme.colours[index % theme.colours.length];
const dash = (index) => DASHES[Math.floor(index / theme.colours.length) % DASHES.length];
const symbol = (index) => SYMBOLS[Math.floor(index / theme.colours.length) % SYMBOLS.length];
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;
const shortName = (name) => name.replace(/\.init_args/g, "").split(".").slice(-2).join(".");
const kind = () => chosen("kind") ?? "keypoints";
const kindName = () => (kind() === "keypoints" ? "keypoint" : "mask");
const narrow = () => window.innerWidth < 600 && !printing;

function layout(more) {
  const axis = { gridcolor: theme.rule, zerolinecolor: theme.soft, linecolor: theme.rule, automargin: true };
  return {
    paper_bgcolor: theme.ground, plot_bgcolor: theme.ground,
    font: { family: "system-ui, sans-serif", size: 12, color: theme.ink },
    margin: { l: 48, r: 16, t: 12, b: 44 }, hovermode: "closest",
    hoverlabel: { namelength: -1, align: "left" },
    legend: { orientation: "h", y: -0.2, yanchor: "top", x: 0 },
    ...(printing ? { width: 680 } : { autosize: true }),
    ...more,
    xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, ...more.yaxis },
  };
}

function show(id, traces, more) {
  const place = byId(id);
  if (!place) return;
  const empty = traces.length ? [] : [{
    text: "nothing to show for the chosen runs", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5,
    font: { color: theme.soft },
  }];
  const annotations = [...(more.annotations ?? []), ...empty];
  Plotly.react(place, traces, layout({ ...more, annotations }), CONFIG);
}

function fillTable(place, headings, rows) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const heading of headings) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = heading;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((value, n) => {
      const cell = document.createElement(n ? "td" : "th");
      if (!n) cell.scope = "row";
      cell.textContent = value;
      line.append(cell);
    });
  }
  const scroll = document.createElement("div");
  Object.assign(scroll, { className: "scroll", tabIndex: 0 });
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", headings.join(", "));
  scroll.append(table);
  place.replaceChildren(scroll);
}

const number = (value, digits = 4) =>
  value === null || value === undefined ? "–" : String(Number(value.toPrecision(digits))).replace("-", "−");
