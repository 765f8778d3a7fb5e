// Reference evaluators of operators that choose, repeat, divide or reorder elements by a fixed pattern.
import {
  at,
  axisOf,
  broadcastAt,
  broadcastDims,
  type Evaluator,
  fill,
  listOf,
  type NdArray,
  nd,
  numberOf,
  numbersOf,
  positions,
  required,
  sizeOf,
} from './nd.ts'

const where: Evaluator = ([condition, first, second]) => {
  const [c, a, b] = [required(condition), required(first), required(second)]
  return fill(broadcastDims(c.dims, a.dims, b.dims), (position) =>
    broadcastAt(broadcastAt(c, position) ? a : b, position),
  )
}

const expand: Evaluator = ([data, shape]) => {
  const x = required(data)
  return fill(broadcastDims(x.dims, listOf(shape)!), (position) => broadcastAt(x, position))
}

const tile: Evaluator = ([data, repeats]) => {
  const x = required(data)
  const times = listOf(repeats)!
  return fill(
    x.dims.map((dim, axis) => dim * times[axis]!),
    (position) =>
      at(
        x,
        position.map((index, axis) => index % x.dims[axis]!),
      ),
  )
}

const split: Evaluator = ([data, given], attributes) => {
  const x = required(data)
  const axis = axisOf(numberOf(attributes, 'axis', 0), x.dims.length)
  const size = x.dims[axis]!
  const count = numberOf(attributes, 'num_outputs', 1)
  const chunk = Math.ceil(size / count)
  const sizes =
    listOf(given) ??
    Array.from({ length: count }, (_, index) => Math.min(chunk, size - index * chunk))
  let start = 0
  const [first, ...more] = sizes.map((length) => {
    const from = start
    start += length
    return fill(x.dims.with(axis, length), (position) =>
      at(x, position.with(axis, position[axis]! + from)),
    )
  })
  return { ...first!, more }
}

const depthToSpace: Evaluator = ([data], attributes) => {
  const x = required(data)
  const [n, c, h, w] = x.dims as [number, number, number, number]
  const block = numberOf(attributes, 'blocksize', 1)
  const depth = c / block ** 2
  return fill([n, depth, h * block, w * block], ([image, channel, row, column]) => {
    const inner = (row! % block) * block + (column! % block)
    const source =
      attributes.mode === 'CRD' ? channel! * block ** 2 + inner : inner * depth + channel!
    return at(x, [image!, source, Math.floor(row! / block), Math.floor(column! / block)])
  })
}

const spaceToDepth: Evaluator = ([data], attributes) => {
  const x = required(data)
  const [n, c, h, w] = x.dims as [number, number, number, number]
  const block = numberOf(attributes, 'blocksize', 1)
  return fill([n, c * block ** 2, h / block, w / block], ([image, channel, row, column]) => {
    const inner = Math.floor(channel! / c)
    const [down, right] = [Math.floor(inner / block), inner % block]
    return at(x, [image!, channel! % c, row! * block + down, column! * block + right])
  })
}

const cumSum: Evaluator = ([data, given], attributes) => {
  const x = required(data)
  const axis = axisOf(required(given).data[0]!, x.dims.length)
  const reverse = numberOf(attributes, 'reverse', 0) === 1
  const exclusive = numberOf(attributes, 'exclusive', 0) === 1
  return fill(x.dims, (position) => {
    let sum = 0
    for (let index = 0; index < x.dims[axis]!; index++) {
      const before = reverse ? index > position[axis]! : index < position[axis]!
      if (before || (index === position[axis] && !exclusive))
        sum += at(x, position.with(axis, index))
    }
    return sum
  })
}

const trilu: Evaluator = ([data, diagonal], attributes) => {
  const x = required(data)
  const k = diagonal?.data[0] ?? 0
  const upper = numberOf(attributes, 'upper', 1) === 1
  return fill(x.dims, (position) => {
    const distance = position.at(-1)! - position.at(-2)! - k
    return (upper ? distance >= 0 : distance <= 0) ? at(x, position) : 0
  })
}

const reverseSequence: Evaluator = ([data, lengths], attributes) => {
  const x = required(data)
  const time = numberOf(attributes, 'time_axis', 0)
  const batch = numberOf(attributes, 'batch_axis', 1)
  return fill(x.dims, (position) => {
    const length = required(lengths).data[position[batch]!]!
    const index = position[time]!
    return at(x, index < length ? position.with(time, length - 1 - index) : position)
  })
}

const centerCropPad: Evaluator = ([data, shape], attributes) => {
  const x = required(data)
  const axes = numbersOf(attributes, 'axes', [...x.dims.keys()])
  const wanted = [...x.dims]
  for (const [index, axis] of axes.entries())
    wanted[axisOf(axis, x.dims.length)] = listOf(shape)![index]!
  return fill(wanted, (position) => {
    const source = position.map((index, axis) => {
      const growth = wanted[axis]! - x.dims[axis]!
      return growth >= 0 ? index - Math.floor(growth / 2) : index + Math.floor(-growth / 2)
    })
    const isInside = source.every((index, axis) => index >= 0 && index < x.dims[axis]!)
    return isInside ? at(x, source) : 0
  })
}

const col2Im: Evaluator = ([data, imageShape, blockShape], attributes) => {
  const x = required(data)
  const [image, block] = [listOf(imageShape)!, listOf(blockShape)!]
  const ones = image.map(() => 1)
  const strides = numbersOf(attributes, 'strides', ones)
  const dilations = numbersOf(attributes, 'dilations', ones)
  const pads = numbersOf(attributes, 'pads', [...image, ...image].fill(0))
  const steps = image.map((size, axis) => {
    const room = size + pads[axis]! + pads[axis + image.length]!
    return Math.floor((room - (block[axis]! - 1) * dilations[axis]! - 1) / strides[axis]!) + 1
  })
  const channels = x.dims[1]! / sizeOf(block)
  const result: NdArray = nd(
    [x.dims[0]!, channels, ...image],
    new Float64Array(x.dims[0]! * channels * sizeOf(image)),
  )
  const offset = (dims: readonly number[], position: readonly number[]) =>
    dims.reduce((sum, dim, axis) => sum * dim + position[axis]!, 0)
  for (const position of positions([x.dims[0]!, channels, ...block, ...steps])) {
    const [sample, channel, ...rest] = position as [number, number, ...number[]]
    const [cell, step] = [rest.slice(0, block.length), rest.slice(block.length)]
    const target = cell.map(
      (index, axis) => step[axis]! * strides[axis]! + index * dilations[axis]! - pads[axis]!,
    )
    if (target.some((index, axis) => index < 0 || index >= image[axis]!)) continue
    result.data[offset(result.dims, [sample, channel, ...target])]! += at(x, [
      sample,
      channel * sizeOf(block) + offset(block, cell),
      offset(steps, step),
    ])
  }
  return result
}

/** Evaluators by operator. */
export const arrangement: Readonly<Record<string, Evaluator>> = {
  CastLike: ([x]) => required(x),
  CenterCropPad: centerCropPad,
  Col2Im: col2Im,
  CumSum: cumSum,
  DepthToSpace: depthToSpace,
  Expand: expand,
  ReverseSequence: reverseSequence,
  SpaceToDepth: spaceToDepth,
  Split: split,
  Tile: tile,
  Trilu: trilu,
  Where: where,
}
