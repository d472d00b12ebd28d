// ---- learning curves

function interpolate(xs, ys, x) {
  let high = xs.findIndex((value) => value >= x);
  if (high <= 0) return high === 0 && xs[0] === x ? ys[0] : high < 0 ? null : null;
  const share = (x - xs[high - 1]) / (xs[high] - xs[high - 1]);
  return ys[high - 1] + share * (ys[high] - ys[high - 1]);
}

function band(curves, axis) {
  const whole = curves.map((curve) => {
    const kept = curve[axis].map((x, n) => [x, curve.value[n]]).filter(([x], n, rows) =>
      x !== null && (n === 0 || x > rows[n - 1][0]));
    return { x: kept.map((row) => row[0]), y: kept.map((row) => row[1]) };
  }).filter((curve) => curve.x.length);
  if (!whole.length) return null;
  const from = Math.max(...whole.map((curve) => curve.x[0]));
  const to = Math.min(...whole.map((curve) => curve.x[curve.x.length - 1]));
  const grid = [...new Set(whole.flatMap((curve) => curve.x))].filter((x) => x >= from && x <= to)
    .sort((a, b) => a - b);
  const stride = Math.max(1, Math.ceil(grid.length / 400));
  const x = grid.filter((_, n) => n % stride === 0 || n === grid.length - 1);
  const values = x.map((at) => whole.map((curve) => interpolate(curve.x, curve.y, at)).filter((y) => y !== null));
  return {
    x,
    low: values.map((ys) => Math.min(...ys)),
    high: values.map((ys) => Math.max(...ys)),
    mean: values.map((ys) => ys.reduce((sum, y) => sum + y, 0) / ys.length),
  };
}

// Few values are marked: a single one would not be seen as a line.
function modeOf(count) {
  return count > 40 ? "lines" : "lines+markers";
}

function lineOf(curve, axis) {
  const index = colourIndex(curve.run);
  return {
    x: curve[axis], y: curve.value, name: safe(labelOf(curve.run)),
    mode: modeOf(curve.value.length),
    line: { color: colour(index), dash: dash(index), width: 1.8 }, marker: { symbol: symbol(index), size: 6 },
    hovertemplate: `%{y:.4g} at %{x:,}<extra>${safe(labelOf(curve.run))}</extra>`,
  };
}

function drawCurves() {
  const metric = byId("metric").value;
  const axis = chosen("axis");
  const curves = (data.curves.curves[metric] ?? []).filter((curve) => shown.has(curve.run));
  const traces = [];
  const banded = grouped && byId("bands")?.checked;
  const groups = new Map();
  for (const curve of curves) {
    const key = banded ? data.runs[curve.run].setting : `run ${curve.run}`;
    groups.set(key, [...(groups.get(key) ?? []), curve]);
  }
  for (const [setting, members] of groups) {
    const area = members.length > 1 ? band(members, axis) : null;
    if (!area || !area.x.length) {
      traces.push(...members.map((curve) => lineOf(curve, axis)));
      continue;
    }
    const name = safe(data.settings[setting]);
    traces.push({
      x: [...area.x, ...[...area.x].reverse()], y: [...area.high, ...[...area.low].reverse()], fill: "toself",
      fillcolor: colour(setting) + "33", line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false,
      name: `band of ${name}`,
    }, {
      x: area.x, y: area.mean, name: `${name} (${members.length} seeds)`, mode: modeOf(area.x.length),
      line: { color: colour(setting), dash: dash(setting), width: 2.4 }, marker: { symbol: symbol(setting), size: 7 },
      error_y: {
        visible: area.x.length === 1, type: "data", symmetric: false, // what the band is for longer curves
        array: area.high.map((y, n) => y - area.mean[n]), arrayminus: area.mean.map((y, n) => y - area.low[n]),
      },
      hovertemplate: `%{y:.4g} at %{x:,}<extra>mean of ${name}</extra>`,
    });
  }
  show("curve-chart", traces, {
    height: narrow() ? 360 : 460, showlegend: traces.length > 1 && traces.length <= 24,
    xaxis: { title: { text: AXES[axis] }, rangemode: "tozero" },
    yaxis: { title: { text: safe(metric) }, type: byId("log").checked ? "log" : "linear" },
  });
  const thinned = curves.filter((curve) => curve.all > curve.value.length);
  byId("thinned").textContent = thinned.length
    ? `Long curves are drawn by the extremes of each stretch: ${thinned[0].value.length} of ${thinned[0].all} points.`
    : "";
  fillTable(byId("curve-chart-table"), ["run", "points", "first", "last", `at ${AXES[axis]}`, "least", "greatest"],
    curves.map((curve) => {
      const last = curve.value.length - 1;
      return [labelOf(curve.run), curve.all, number(curve.value[0]), number(curve.value[last]),
        number(curve[axis][last], 7), number(Math.min(...curve.value)), number(Math.max(...curve.value))];
    }));
}
