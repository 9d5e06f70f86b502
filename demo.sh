#!/bin/sh
# Install what is missing, build, then train graphs/demo.yaml on the drawings of graphs/demo: about two
# minutes on two cores. Ends with figures on drawings held out, beside guessing, what needs no network (constants,
# thresholds), and the untrained network.
set -eu
cd "$(dirname "$0")"
.ci/build
cztc=build/cztc run=build/demo

echo
echo "== the graph"
$cztc check graphs/demo.yaml
rm -rf $run
mkdir -p $run
$cztc compile graphs/demo.yaml -o $run/demo.czt

echo
echo "== training; the run is kept in $run"
$cztc train $run/demo.czt --out $run

echo
echo "== on drawings held out"
$cztc eval $run --baselines
