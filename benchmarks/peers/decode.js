// Decodes scenes by the released decoders when asked to. One JSON command a line on standard input, one JSON answer a line:
//   {"load": "scene.json"}  reads a scene: sizes, and a file of float32 for each map
//   {"run": "poses"}        decodes poses; answers {"ms": ..., "people": n}
//   {"run": "masks"}        gives the pixels of persons to the poses of the last run; answers {"ms": ..., "people": n}
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const tf = require("@tensorflow/tfjs-core");
require("@tensorflow/tfjs-backend-cpu");
const { decodeMultiplePoses } = require("@tensorflow-models/posenet/dist/multi_pose/decode_multiple_poses");
const { decodeMultipleMasksCPU } = require("@tensorflow-models/body-pix/dist/multi_person/decode_multiple_masks_cpu");

const MOST_PEOPLE = 100;
const SCORE_THRESHOLD = 0.5;
const NMS_RADIUS = 20;
const MIN_POSE_SCORE = 0.2;
const REFINE_STEPS = 8;
const MATCHED_KEYPOINTS = 17;
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
  const names = ["heatmap", "short", "fwd", "bwd"];
  scene = { ...about, buffers: names.map(map), long: floats("long"), persons: Uint8Array.from(floats("persons")) };
  return { loaded: true };
}

function timed(work) {
  const started = process.hrtime.bigint();
  const people = work();
  return { ms: Number(process.hrtime.bigint() - started) / 1e6, people: people.length };
}

const RUNS = {
  poses: () => (poses = decodeMultiplePoses(...scene.buffers, scene.stride, MOST_PEOPLE, SCORE_THRESHOLD, NMS_RADIUS)),
  masks: () => {
    const likely = poses.filter((pose) => pose.score >= MIN_POSE_SCORE);
    const size = [scene.height, scene.width];
    return decodeMultipleMasksCPU(
      scene.persons, scene.long, likely, ...size, scene.stride, size, NO_PADDING, REFINE_STEPS, MATCHED_KEYPOINTS);
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  const answer = command.load ? load(command.load) : timed(RUNS[command.run]);
  process.stdout.write(JSON.stringify(answer) + "\n");
});
