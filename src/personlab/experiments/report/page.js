// The page's controls, and when to draw.

const DRAWINGS = [
  drawCurves,
  () => drawCost("latency-chart", "latency", "ms an image"),
  () => drawCost("parameter-chart", "parameters", "parameters"),
  () => drawDeltas("size-chart", data.sizes[kind()] ?? [], `difference of ${kindName()} AP`, 60),
  () => drawDeltas("keypoint-chart", data.keypoints, "difference of recall", 26),
  drawErrors, drawParallel, drawImportance,
];
let pass = 0;
const breath = () => new Promise((done) => setTimeout(done));
async function drawAll() {
  const mine = ++pass;
  theme = printing || !dark.matches ? LIGHT : DARK;
  for (const swatch of all(".swatch")) swatch.style.background = colour(Number(swatch.dataset.colour));
  for (const drawing of DRAWINGS) {
    drawing();
    document.documentElement.dataset.drawn ??= String(Math.round(performance.now()));
    if (printing) continue;
    await breath();
    if (mine !== pass) return;
  }
}

// ---- controls

function choose(metric) {
  const select = byId("metric");
  if ([...select.options].some((option) => option.value === metric)) select.value = metric;
}

function countShown() {
  const rows = all("#run-table tbody tr");
  const visible = rows.filter((row) => !row.hidden);
  byId("count").textContent = `${shown.size} of ${rows.length} runs in the charts`;
  byId("count").dataset.rows = String(visible.length);
}

function readRows() {
  shown.clear();
  for (const row of all("#run-table tbody tr")) {
    if (!row.hidden && row.querySelector("input").checked) shown.add(Number(row.dataset.run));
  }
  countShown();
}

function sortBy(button) {
  const head = button.closest("th");
  const rising = head.getAttribute("aria-sort") !== "ascending";
  const column = Number(button.dataset.column);
  for (const other of all("#run-table thead th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = document.querySelector("#run-table tbody");
  const value = (row) => row.cells[column].dataset.value ?? "";
  const compare = (a, b) => {
    const [one, two] = [value(a), value(b)];
    if (one === "" || two === "") return (one === "") - (two === "");
    const way = rising ? 1 : -1;
    return way * (Number.isNaN(Number(one)) ? one.localeCompare(two) : Number(one) - Number(two));
  };
  body.append(...[...body.rows].sort(compare));
}

function connect() {
  const select = byId("metric");
  select.append(...data.curves.metrics.map((name) => new Option(name, name)));
  const runs = byId("delta-run");
  if (runs) {
    runs.append(new Option("all shown", "shown"));
    for (const entry of data.keypoints) runs.append(new Option(labelOf(entry.run), String(entry.run)));
    if (data.keypoints.length > 3) {
      const best = [...data.keypoints].sort((a, b) => (data.cost[b.run].ap.keypoints ?? 0) - (data.cost[a.run].ap.keypoints ?? 0));
      runs.value = String(best[0].run);
    }
    runs.addEventListener("change", () => { DRAWINGS[3](); DRAWINGS[4](); });
  }
  for (const id of ["metric", "bands", "log"]) byId(id)?.addEventListener("change", drawCurves);
  for (const input of all('input[name="axis"]')) input.addEventListener("change", drawCurves);
  for (const input of all('input[name="kind"]')) {
    input.addEventListener("change", () => {
      if (/^(val|test)\/(keypoints|segmentation)\/AP$/.test(select.value)) {
        choose(select.value.replace(/keypoints|segmentation/, kind()));
      }
      drawAll();
    });
  }
  for (const input of all('input[name="images"]')) {
    input.addEventListener("change", () => {
      for (const one of all(".exhibit")) one.hidden = input.value !== "all" && one.dataset.change !== input.value;
    });
  }
  byId("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const row of all("#run-table tbody tr")) row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
    readRows();
    drawAll();
  });
  byId("run-table").addEventListener("change", () => { readRows(); drawAll(); });
  for (const [id, checked] of [["show-all", true], ["show-none", false]]) {
    byId(id).addEventListener("click", () => {
      for (const row of all("#run-table tbody tr")) if (!row.hidden) row.querySelector("input").checked = checked;
      readRows();
      drawAll();
    });
  }
  for (const button of all(".sort")) button.addEventListener("click", () => sortBy(button));
  for (const form of all("form")) form.addEventListener("submit", (event) => event.preventDefault());
  dark.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
  window.addEventListener("afterprint", () => { printing = false; drawAll(); });
  countShown();
}

async function loadPlotly() {
  const packed = atob(byId("plotly").textContent.trim());
  const bytes = new Uint8Array(packed.length);
  for (let n = 0; n < packed.length; n += 1) bytes[n] = packed.charCodeAt(n);
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}

connect();
loadPlotly().then(drawAll).then(() => {
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}).catch((error) => {
  for (const place of all(".plot")) place.textContent = `This chart could not be drawn (${error}); its numbers are in the table.`;
});
