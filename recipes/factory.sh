#!/bin/sh
# The data factory from end to end on the tiny world, about 15 minutes on one core, after `visreason demo`: sh recipes/factory.sh
#   1. the demo's primed model learns to describe pictures, and describes new ones (formalize);
#   2. a teacher that sees nothing thinks about the descriptions; rules judge its answers (distill);
#   3. the primed model learns those thoughts, and beside it as many answers without thoughts; both are measured;
#   4. self-distillation: the demo's fine-tuned model teaches the primed one by its right and reasoned answers.
# docs/data.md has what came out. Any step can be typed alone; a killed one goes on where it stopped.
set -e
demo=${DEMO:-runs/demo}
out=${OUT:-runs/factory}
level='where={level: 1}'
train='optimizer=muon problems_per_step=16 lr=3e-3 save_every=50'
heldout="data=$demo/world/heldout.jsonl max_completion_tokens=96"

visreason sft model=$demo/primer data=world:describe:2080:5 style=direct $train steps=130 out=$out/describer
visreason formalize describer=$out/describer data=world:train:2880:11 "$level" near=null ocr=false \
    max_completion_tokens=256 block=64 out=$out/formalize
visreason distill teacher=script:visreason.world.teacher:think data=$out/formalize/problems.jsonl sees=description \
    asked=r1_onevision style=r1_onevision n=1 near=null out=$out/distill

rows=$(wc -l < $out/distill/samples.jsonl)
visreason sft model=$demo/primer data=$out/distill/samples.jsonl style=r1_onevision $train steps=200 out=$out/thoughts
visreason sft model=$demo/primer data=$out/formalize/problems.jsonl limit=$rows style=direct $train steps=200 \
    out=$out/answers
visreason evaluate model=$out/thoughts $heldout "$level" style=r1_onevision out=$out/evaluate/thoughts
visreason evaluate model=$out/answers $heldout "$level" style=direct out=$out/evaluate/answers

visreason distill teacher=$demo/sft data=world:train:3600:21 "$level" near=null asked=r1_onevision style=r1_onevision \
    n=4 min_words=4 keep=varied per_problem=2 max_completion_tokens=96 block=64 out=$out/self
visreason sft model=$demo/primer data=$out/self/samples.jsonl style=r1_onevision $train steps=220 out=$out/student
visreason evaluate model=$demo/sft $heldout "$level" style=r1_onevision out=$out/evaluate/teacher
visreason evaluate model=$out/student $heldout "$level" style=r1_onevision out=$out/evaluate/student

visreason report "runs=[$out/evaluate/answers, $out/evaluate/thoughts]" out=$out/report/thoughts
visreason report "runs=[$out/evaluate/teacher, $out/evaluate/student]" out=$out/report/self
