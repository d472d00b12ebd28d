// ---- cost

function drawCost(id, field, title) {
  const most = Math.max(...[...shown].map((run) => data.cost[run][field] ?? 0));
  const told = new Set(); // one entry of the legend a setting
  const nameOf = (run) => (grouped ? data.settings[data.runs[run].setting] : labelOf(run));
  const traces = [...shown].sort((a, b) => a - b)
    .filter((run) => data.cost[run][field] !== null && data.cost[run].ap[kind()] !== null)
    .map((run) => {
      const index = colourIndex(run);
      const first = !told.has(index);
      told.add(index);
      return {
        x: [data.cost[run][field]], y: [data.cost[run].ap[kind()]], mode: "markers+text",
        name: safe(nameOf(run)), legendgroup: String(index), showlegend: first,
        text: shown.size <= 8 ? [`  ${brief(labelOf(run), 18)}  `] : [""], cliponaxis: false,
        textposition: data.cost[run][field] > 0.6 * most ? "middle left" : "middle right",
        textfont: { size: 11, color: theme.soft },
        marker: { size: 11, color: colour(index), symbol: symbol(index) },
        hovertemplate: `AP %{y:.3f} at %{x:,.4g}<extra>${safe(labelOf(run))}</extra>`,
      };
    });
  const ys = traces.map((trace) => trace.y[0]);
  const pad = Math.max(0.01, 0.25 * (Math.max(...ys) - Math.min(...ys)));
  show(id, traces, {
    height: 400, showlegend: shown.size > 8 && told.size <= 12,
    xaxis: { title: { text: title }, range: [0, 1.08 * most] },
    yaxis: {
      title: { text: `${kindName()} AP` },
      ...(ys.length ? { range: [Math.min(...ys) - pad, Math.max(...ys) + pad] } : {}),
    },
  });
}

// ---- differences

// A range that shows zero, too.
function around(values) {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const pad = 0.06 * (high - low) || 0.01;
  return [low - pad, high + pad];
}

function drawDeltas(id, entries, title, tall) {
  const place = byId(id);
  if (!place) return;
  const run = byId("delta-run").value;
  const some = entries.filter((entry) => (run === "shown" ? shown.has(entry.run) : String(entry.run) === run));
  const names = some.length ? [...some[0].names].reverse() : [];
  const gap = 0.7 / Math.max(some.length, 1);
  const ends = some.flatMap((entry) => entry.deltas.flat());
  const traces = some.map((entry, n) => {
    const index = colourIndex(entry.run);
    const at = entry.names.map((name) => names.indexOf(name) + 0.35 - gap * (n + 0.5));
    return {
      x: entry.deltas.map((delta) => delta[0]), y: at, name: safe(labelOf(entry.run)), mode: "markers",
      marker: { color: colour(index), symbol: symbol(index), size: 8 },
      error_x: {
        type: "data", symmetric: false, color: colour(index), thickness: 1.6, width: 3,
        array: entry.deltas.map((delta) => delta[2] - delta[0]),
        arrayminus: entry.deltas.map((delta) => delta[0] - delta[1]),
      },
      text: entry.names.map(safe),
      hovertemplate: `%{text}: %{x:+.3f}<extra>${safe(labelOf(entry.run))}</extra>`,
    };
  });
  show(id, traces, {
    height: Math.max(380, names.length * Math.max(tall, 8 * some.length) + 120),
    showlegend: some.length > 1,
    legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 },
    xaxis: { title: { text: title }, tickformat: "+.3~f", zeroline: true, zerolinewidth: 2, range: around(ends) },
    yaxis: {
      tickvals: names.map((_, n) => n), ticktext: names.map((name) => safe(name.replace(/_/g, " "))),
      range: [-0.6, names.length - 0.4], zeroline: false,
    },
  });
}

// ---- errors

function drawErrors() {
  const entries = (data.errors[kind()] ?? []).filter((entry) => shown.has(entry.run)).reverse();
  const types = entries.length ? entries[0].types : [];
  const at = entries.map((_, n) => n);
  const bar = (name, values, fill, pattern) => ({
    type: "bar", orientation: "h", name, x: values, y: at,
    marker: { color: fill, line: { color: theme.ground, width: 1 }, pattern: { shape: pattern, size: 7, solidity: 0.18, fillmode: "overlay", fgcolor: theme.ground, fgopacity: 0.6 } },
    text: entries.map((entry) => safe(labelOf(entry.run))), textposition: "none",
    hovertemplate: `${name}: %{x:.3f}<extra>%{text}</extra>`,
  });
  const patterns = ["", "/", "\\", "x", "-", "|", "+", "."];
  const traces = !entries.length ? [] : [
    bar("AP reached", entries.map((entry) => entry.ap), theme === DARK ? "#5b6472" : "#c9ced7", ""),
    ...types.map((type, n) => bar(safe(type), entries.map((entry) => entry.costs[n]), colour(n), patterns[n % 8])),
  ];
  const most = narrow() ? 14 : 34;
  show("error-chart", traces, {
    barmode: "stack", height: Math.max(300, 150 + 30 * entries.length) + (narrow() ? 160 : 0), bargap: 0.25,
    legend: {
      orientation: "h", x: 0, traceorder: "normal",
      ...(narrow() ? { y: -0.22, yanchor: "top", maxheight: 0.6 } : { y: 1, yanchor: "bottom" }),
    },
    xaxis: { title: { text: `${kindName()} AP` }, range: [0, 1] },
    yaxis: { tickvals: at, ticktext: entries.map((entry) => brief(labelOf(entry.run), most)), zeroline: false },
  });
}

// ---- sweep

const RAMP = { light: [[68, 1, 84], [49, 104, 142], [53, 183, 121]], dark: [[128, 90, 213], [70, 160, 210], [250, 220, 60]] };
function ramp(share) {
  const stops = theme === DARK ? RAMP.dark : RAMP.light;
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  return `rgb(${stops[low].map((value, n) => Math.round(value + (at - low) * (stops[low + 1][n] - value))).join(",")})`;
}

function scaled(values) {
  const known = values.filter((value) => value !== null);
  const least = Math.min(...known);
  const span = Math.max(...known) - least;
  return values.map((value) => (value === null ? null : span ? (value - least) / span : 0.5));
}

function drawParallel() {
  if (!data.sweep || !byId("parallel-chart")) return;
  const scores = data.cost.map((one) => one.ap[kind()]);
  const axes = [...data.sweep.axes, { name: `${kindName()} AP`, values: scores, texts: null }];
  const places = axes.map((axis) => scaled(axis.values));
  const colours = scaled(scores);
  const traces = [...shown].sort((a, b) => (scores[a] ?? -1) - (scores[b] ?? -1)).map((run) => ({
    x: axes.map((_, n) => n), y: places.map((place) => place[run]), mode: "lines+markers", name: safe(labelOf(run)),
    line: { color: colours[run] === null ? theme.soft : ramp(colours[run]), width: 2 }, opacity: 0.8,
    text: axes.map((axis) => safe(`${axis.name}: ${axis.texts ? axis.texts[axis.values[run]] : number(axis.values[run])}`)),
    hovertemplate: `%{text}<extra>${safe(labelOf(run))}</extra>`,
  }));
  const annotations = axes.flatMap((axis, n) => {
    const known = axis.values.filter((value) => value !== null);
    const ends = [Math.min(...known), Math.max(...known)];
    const ticks = axis.texts
      ? axis.texts.map((text, k) => [axis.texts.length > 1 ? k / (axis.texts.length - 1) : 0.5, brief(text, 14)])
      : ends[0] === ends[1] ? [[0.5, number(ends[0])]] : ends.map((value, k) => [k, number(value)]);
    return ticks.map(([y, text]) => ({
      x: n, y, text, showarrow: false, font: { size: 11, color: theme.ink }, bgcolor: theme.ground, opacity: 0.9,
      xanchor: "left", xshift: 6,
    }));
  });
  show("parallel-chart", traces, {
    height: 440, showlegend: false, annotations, margin: { l: 40, r: 64, t: 16, b: 90 },
    xaxis: {
      tickvals: axes.map((_, n) => n), zeroline: false, range: [-0.15, axes.length - 0.75], tickangle: 25,
      ticktext: axes.map((axis) => brief(shortName(axis.name), 26)),
    },
    yaxis: { visible: false, range: [-0.08, 1.08] },
    shapes: axes.map((_, n) => ({ type: "line", x0: n, x1: n, y0: 0, y1: 1, line: { color: theme.soft, width: 1 } })),
  });
}

function drawImportance() {
  if (!data.sweep) return;
  const rows = [...(data.sweep.importance[kind()] ?? [])].reverse();
  show("importance-chart", rows.length ? [{
    type: "bar", orientation: "h", x: rows.map((row) => row[1]), y: rows.map((_, n) => n),
    marker: { color: colour(0), opacity: rows.map((row) => (row[3] > data.sweep.likely ? 0.35 : 1)) },
    text: rows.map((row) => `${safe(row[0])}: ${row[1].toFixed(2)}, by chance as large in ${(100 * row[3]).toFixed(1)} %`),
    textposition: "none", hovertemplate: "%{text}<extra></extra>",
  }] : [], {
    height: Math.max(220, 90 + 26 * rows.length), showlegend: false,
    xaxis: { title: { text: "share of variance" }, range: [0, 1] },
    yaxis: {
      tickvals: rows.map((_, n) => n), zeroline: false,
      ticktext: rows.map((row) => brief(shortName(row[0]), narrow() ? 22 : 44)),
    },
  });
}
