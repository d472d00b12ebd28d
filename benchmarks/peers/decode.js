// Decodes scenes by the released decoders when asked to. One JSON command a line on standard input, one JSON answer a line:
//   {"load": "scene.json"}  reads a scene: sizes, and a file of float32 for each map
//   {"run": "poses"}        decodes poses; answers {"ms": ..., "people": n}
//   {"run": "masks"}        gives the pixels of persons to the poses of the last run; answers {"ms": ..., "people": n}
//   {"decode": [most people, score threshold, radius]}  answers {"poses": [[score, [x, y, score] * 17], ...]}
//   {"share": matched keypoints}  gives the pixels of persons to the poses decoded last, places clamped at all four
//                           borders; answers {"labels": [person or -1, count, ...]}, row by row
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const tf = require("@tensorflow/tfjs-core");
require("@tensorflow/tfjs-backend-cpu");
const { decodeMultiplePoses } = require("@tensorflow-models/posenet/dist/multi_pose/decode_multiple_poses");
const { decodeMultipleMasksCPU } = require("@tensorflow-models/body-pix/dist/multi_person/decode_multiple_masks_cpu");
const { scaleAndCropToInputTensorShape } = require("@tensorflow-models/body-pix/dist/util");

const MOST_PEOPLE = 100;
const SCORE_THRESHOLD = 0.5;
const NMS_RADIUS = 20;
const MIN_POSE_SCORE = 0.2;
const REFINE_STEPS = 8;
const MATCHED_KEYPOINTS = 17;
const PERSON = 0.7;
const NO_PADDING = { top: 0, bottom: 0, left: 0, right: 0 };

let scene = null;
let poses = [];

function load(file) {
  const about = JSON.parse(fs.readFileSync(file));
  const floats = (name) => {
    const bytes = fs.readFileSync(path.join(path.dirname(file), about.maps[name].file));
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };
  const map = (name) => tf.buffer(about.maps[name].shape, "float32", floats(name));
  scene = { ...about, buffers: ["heatmap", "short", "fwd", "bwd"].map(map), long: floats("long") };
  if (about.maps.persons) scene.persons = Uint8Array.from(floats("persons"));
  if (about.maps.seg_logit) scene.logits = tf.tensor(floats("seg_logit"), [...about.maps.seg_logit.shape, 1]);
  return { loaded: true };
}

function decode(mostPeople, threshold, radius) {
  poses = decodeMultiplePoses(...scene.buffers, scene.stride, mostPeople, threshold, radius);
  return poses;
}

function masks(persons, likely, matched) {
  const size = [scene.height, scene.width];
  return decodeMultipleMasksCPU(
    persons, scene.long, likely, ...size, scene.stride, size, NO_PADDING, REFINE_STEPS, matched);
}

const likelyPoses = () => poses.filter((pose) => pose.score >= MIN_POSE_SCORE);

function timed(work) {
  const started = process.hrtime.bigint();
  const people = work();
  return { ms: Number(process.hrtime.bigint() - started) / 1e6, people: people.length };
}

const RUNS = {
  poses: () => decode(MOST_PEOPLE, SCORE_THRESHOLD, NMS_RADIUS),
  masks: () => masks(scene.persons, likelyPoses(), MATCHED_KEYPOINTS),
};

// The released CPU code clamps a place to the last row and column by Math.min and forgets the first ones. Nothing else
// in it calls Math.min, so that a lower bound there makes the code what it was meant to be.
function clampedBelow(work) {
  const { min } = Math;
  Math.min = (a, b) => Math.max(0, min(a, b));
  try {
    return work();
  } finally {
    Math.min = min;
  }
}

function share(matched) {
  const persons = tf.tidy(() => {
    const size = [scene.height, scene.width];
    const probability = scaleAndCropToInputTensorShape(scene.logits, size, size, [[0, 0], [0, 0]], true);
    return tf.cast(tf.greater(tf.squeeze(probability), tf.scalar(PERSON)), "int32").dataSync();
  });
  const likely = likelyPoses();
  const found = clampedBelow(() => masks(persons, likely, matched));
  const labels = new Int32Array(scene.height * scene.width).fill(-1);
  found.forEach((mask, n) => {
    const person = poses.indexOf(likely[n]);
    mask.forEach((inside, pixel) => { if (inside) labels[pixel] = person; });
  });
  const runs = [];
  labels.forEach((label) => {
    if (runs.length && runs[runs.length - 2] === label) runs[runs.length - 1] += 1;
    else runs.push(label, 1);
  });
  return { labels: runs };
}

function answer(command) {
  if (command.load) return load(command.load);
  if (command.run) return timed(RUNS[command.run]);
  if (command.share) return share(command.share);
  const rows = (pose) => pose.keypoints.map(({ position, score }) => [position.x, position.y, score]);
  return { poses: decode(...command.decode).map((pose) => [pose.score, rows(pose)]) };
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(answer(JSON.parse(line))) + "\n");
});
