#!/bin/sh
# The data factory from end to end on the tiny world, twenty minutes on one core, after `visreason demo`:
#     DEMO=runs/demo OUT=runs/factory sh recipes/factory.sh
# 1. The demo's primed model learns to describe pictures, and describes new tables (formalize).
# 2. A teacher that sees nothing thinks about the descriptions; rules judge its answers (distill).
# 3. The primed model learns those thoughts, and beside it as many answers without thoughts.
# 4. Self-distillation: the demo's fine-tuned model teaches the primed one by its right and reasoned answers.
# docs/data.md has what came out. Any step can be typed alone; a killed one goes on where it stopped.
set -e
demo=${DEMO:-runs/demo}
out=${OUT:-runs/factory}
tables='where={family: tables, level: 1}'
first='where={level: 1}'
sft="sft model=$demo/primer optimizer=muon problems_per_step=16 lr=3e-3"
tags='style=r1_onevision'

visreason $sft data=world:describe:2080:5 style=direct steps=130 out=$out/describer
visreason formalize describer=$out/describer data=world:train:4800:11 "$tables" near=null ocr=false \
    max_completion_tokens=256 block=64 out=$out/formalize
visreason distill teacher=script:visreason.world.teacher:think data=$out/formalize/problems.jsonl sees=description \
    asked=r1_onevision $tags n=1 near=null out=$out/distill
rows=$(wc -l < $out/distill/samples.jsonl)
visreason $sft data=$out/distill/samples.jsonl $tags steps=120 out=$out/thoughts
visreason $sft data=$out/formalize/problems.jsonl limit=$rows style=direct steps=120 out=$out/answers
heldout="data=world:heldout:3000:3 max_completion_tokens=96"
visreason evaluate model=$out/thoughts $heldout "$tables" $tags out=$out/evaluate/thoughts
visreason evaluate model=$out/answers $heldout "$tables" style=direct out=$out/evaluate/answers
visreason report "runs=[$out/evaluate/answers, $out/evaluate/thoughts]" out=$out/report/thoughts

visreason distill teacher=$demo/sft data=world:train:3600:7 "$first" near=null asked=r1_onevision $tags n=4 \
    min_words=4 language=null keep=varied per_problem=2 max_completion_tokens=64 out=$out/self
rows=$(wc -l < $out/self/samples.jsonl)
visreason $sft data=$out/self/samples.jsonl $tags steps=220 out=$out/student
visreason $sft data=$out/self/world/train.jsonl "$first" limit=$rows style=direct steps=220 out=$out/self_answers
heldout="data=$demo/world/heldout.jsonl max_completion_tokens=96"
visreason evaluate model=$demo/sft $heldout "$first" $tags out=$out/evaluate/teacher
visreason evaluate model=$out/student $heldout "$first" $tags out=$out/evaluate/student
visreason evaluate model=$out/self_answers $heldout "$first" style=direct out=$out/evaluate/self_answers
visreason report "runs=[$out/evaluate/teacher, $out/evaluate/student]" out=$out/report/self
