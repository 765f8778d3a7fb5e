// Run by curves.ts in a process of its own: prints the losses of some steps by provider and model, as JSON.
// usage: node curves.mjs DIST STEPS MODEL,… PROVIDER …
const [, , dist, steps, wanted, ...providers] = process.argv
const load = (path) => import(`${dist}/${path}`)
const { newModel } = await load('onnx/build.js')
const { tensorOf } = await load('onnx/tensor.js')
const { random } = await load('base/random.js')
const { buildArchitecture } = await load('models/index.js')
const { onnx } = await load('train/engines/onnx.js')
const { Stepper } = await load('train/stepper.js')
const { optimizerOptions } = await load('train/options.js')

const [batch, classes] = [16, 4]
const shape = [2, 8, 8]
const architecture = (options) => () => 
  buildArchitecture(options, {
    inputs: [{ name: 'input', dtype: 'float32', shape }],
    outputs: classes,
    seed: 1,
  })

/** Patches of an image as tokens, one block of attention and perceptron, and the mean of the tokens. */
function transformer() {
  const [width, heads, tokens, patch] = [16, 2, 16, 8]
  const { model, g } = newModel('transformer')
  const source = random(1, 'transformer')
  const weight = (...dims) => {
    const size = dims.reduce((product, dim) => product * dim, 1)
    const values = Float32Array.from({ length: size }, () => source.normal() / Math.sqrt(dims[0]))
    return g.constant(tensorOf('float32', dims, values), 'weight')
  }
  const vector = (length, value) =>
    g.constant(tensorOf('float32', [length], new Float32Array(length).fill(value)), 'vector')
  const norm = (x) =>
    g.node('LayerNormalization', [x, vector(width, 1), vector(width, 0)], { attributes: { axis: -1 } })[0]
  const linear = (x, from, to) => g.Add(g.MatMul(x, weight(from, to)), vector(to, 0))
  const split = (x) =>
    g.Transpose(g.Reshape(x, [0, tokens, heads, width / heads]), { perm: [0, 2, 1, 3] })
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  let y = linear(g.Reshape(x, [0, tokens, patch]), patch, width)
  const h = norm(y)
  const [q, k, v] = [1, 2, 3].map(() => split(linear(h, width, width)))
  const scores = g.Mul(g.MatMul(q, g.Transpose(k, { perm: [0, 1, 3, 2] })), 1 / Math.sqrt(width / heads))
  const mixed = g.Transpose(g.MatMul(g.Softmax(scores, { axis: -1 }), v), { perm: [0, 2, 1, 3] })
  y = g.Add(y, linear(g.Reshape(mixed, [0, tokens, width]), width, width))
  const [inner] = g.node('Gelu', [linear(norm(y), width, 2 * width)])
  y = g.Add(y, linear(inner, 2 * width, width))
  const mean = g.ReduceMean(y, [1], { keepdims: 0 })
  g.output('y', linear(mean, width, classes), { dtype: 'float32', shape: ['N', classes] })
  return model
}

const models = {
  mlp: architecture({ architecture: 'mlp', hidden: [24, 16] }),
  cnn: architecture({ architecture: 'resnet', depth: 8, width: 8 }),
  transformer,
}

async function curve(build, provider) {
  const stepper = await Stepper.open({
    definition: {
      model: build(),
      forward: {
        ...{ batch, classes, freeze: [], batchStatistics: true, dropout: true },
        losses: [
          { loss: 'cross-entropy', weight: 0.5, labelSmoothing: 0.1 },
          { loss: 'kl', weight: 0.5, temperature: 4 },
        ],
      },
      update: { optimizer: optimizerOptions.parse({ name: 'adamw' }), clip: 5 },
    },
    engine: onnx,
    options: { provider, threads: 1, sharesCores: false, log: () => undefined },
    seed: 1,
    rate: () => 1e-3,
    mostSteps: 1,
  })
  const losses = []
  for (let step = 0; step < Number(steps); step++) {
    const source = random(2, step)
    const labels = Int32Array.from({ length: batch }, () => source.integer(classes))
    const length = batch * shape.reduce((product, dim) => product * dim, 1)
    const inputs = Float32Array.from(
      { length },
      (_, index) => source.normal() + Math.sin((index % 128) * (1 + labels[Math.floor(index / 128)])),
    )
    const teacher = Float32Array.from({ length: batch * classes }, (_, index) =>
      index % classes === labels[Math.floor(index / classes)] ? 4 : source.normal(),
    )
    const sample = { inputs: [inputs], labels, size: batch, indices: Uint32Array.from(labels.keys()) }
    losses.push(...(await stepper.take(step, sample, [teacher])))
  }
  await stepper.dispose()
  return losses
}

const found = {}
for (const provider of providers) {
  found[provider] = {}
  for (const name of wanted.split(',')) found[provider][name] = await curve(models[name], provider)
}
process.stdout.write(JSON.stringify(found))
