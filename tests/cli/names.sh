# weights/: the tables name every parameter of an encoder, as others' files do. export: writes files
# with their names, spelt out here; a run of another seed begins with them, and has every tensor.
. "$(dirname "$0")/common.sh"

pictures train
encoder() { # NAME MODULE WEIGHTS RENAME: the last is from names here to those of the file
    cat >$1.yaml <<END
cztc: 1
import: [encoders/resnet, encoders/mobileclip, encoders/convnext, optim/sgd, weights/$3]
let: {batch: 2}
data: {source: train-00000.tar, views: {image: {size: [64, 64]}}}
encoders: {visual: {image: unit(views.image), embed: 4, $2}}
losses: {pair: {loss: "mean(square(visual.embedding - 1), axis=1)"}}
train: {steps: 1, optimizer: {module: sgd, lr: 0}, freeze: [{match: "*running*"}]}
export: {rename: $4}
END
    exits 0 "$CZTC" train $1.yaml --out $1 --set train.seed=1
    exits 0 "$CZTC" export $1 -o $1.safetensors
}
begins() { # NAME TABLES: a run with the file, and that it has what the other had
    printf 'cztc: 1\nextends: %s.yaml\ninit: [{file: %s.safetensors, rename: %s}]\n' $1 $1 "$2" >$1-of.yaml
    exits 0 "$CZTC" train $1-of.yaml --out $1-of --set train.seed=2
    says err "tensors taken"
    grep -q "not used\|as initialised" err && { miss "$1: the table lacks some"; cat err; }
    same $1/checkpoints/step-00000001/params.safetensors $1-of/checkpoints/step-00000001/params.safetensors
}

stages='"visual.stages.0.blocks.*.downsample.conv.*": "${v}layer1.*.downsample.0.*",
  "visual.stages.0.blocks.*.downsample.bn.*": "${v}layer1.*.downsample.1.*",
  "visual.stages.1.blocks.*.downsample.conv.*": "${v}layer2.*.downsample.0.*",
  "visual.stages.1.blocks.*.downsample.bn.*": "${v}layer2.*.downsample.1.*",
  "visual.stages.2.blocks.*.downsample.conv.*": "${v}layer3.*.downsample.0.*",
  "visual.stages.2.blocks.*.downsample.bn.*": "${v}layer3.*.downsample.1.*",
  "visual.stages.3.blocks.*.downsample.conv.*": "${v}layer4.*.downsample.0.*",
  "visual.stages.3.blocks.*.downsample.bn.*": "${v}layer4.*.downsample.1.*",
  "visual.stages.0.blocks.*": "${v}layer1.*", "visual.stages.1.blocks.*": "${v}layer2.*",
  "visual.stages.2.blocks.*": "${v}layer3.*", "visual.stages.3.blocks.*": "${v}layer4.*", "visual.*": "${v}*"'
v=
eval "names=\"$(echo "$stages" | sed 's/"/\\"/g')\""
encoder torchvision 'module: resnet, layers: [1, 1, 1, 2], width: 2' torchvision "{\"visual.embed_image.weight\": embed_image.weight, $names}"
begins torchvision torchvision_resnet
v=visual.
eval "names=\"$(echo "$stages" | sed 's/"/\\"/g')\""
encoder clip 'module: clip_resnet, layers: [1, 1, 1, 2], width: 2' openclip "{$names}"
begins clip '[openclip_resnet, openclip]'
encoder next 'module: convnext, layers: [1, 1, 1, 2], width: 2' openclip \
    '{"visual.embed_image.weight": visual.head.proj.weight, "visual.*": "visual.trunk.*"}'
begins next '[openclip_convnext, openclip]'
i=image_encoder.model
encoder mobile 'module: mobileclip, layers: [1, 1, 1, 2], width: 8' mobileclip "{
  \"visual.stem.*\": \"$i.patch_embed.*\", \"visual.stages.0.blocks.*\": \"$i.network.0.*\",
  \"visual.stages.1.down.mix.*\": \"$i.network.1.proj.1.*\", \"visual.stages.1.down.*\": \"$i.network.1.proj.0.*\",
  \"visual.stages.1.blocks.*\": \"$i.network.2.*\",
  \"visual.stages.2.down.se.*\": \"$i.network.3.proj.0.se.conv_*\",
  \"visual.stages.2.down.mix.*\": \"$i.network.3.proj.1.*\", \"visual.stages.2.down.*\": \"$i.network.3.proj.0.*\",
  \"visual.stages.2.blocks.*\": \"$i.network.4.*\",
  \"visual.stages.3.down.se.*\": \"$i.network.5.proj.0.se.conv_*\",
  \"visual.stages.3.down.mix.*\": \"$i.network.5.proj.1.*\", \"visual.stages.3.down.*\": \"$i.network.5.proj.0.*\",
  \"visual.stages.3.position.*\": \"$i.network.6.pe.*\", \"visual.stages.3.blocks.*\": \"$i.network.7.*\",
  \"visual.embed_image.weight\": {to: $i.head.proj, transpose: true}, \"visual.*\": \"$i.*\"}"
begins mobile mobileclip_names

exit $((failed != 0))
