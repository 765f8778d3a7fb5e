// The well-known data sets that can be downloaded: a new one is a row here.
import { type DownloadSet, type EnsureOptions, ensureSet, type RemoteFile } from './download-set.ts'

const mebibyte = 2 ** 20

/** Gzip differs between mirrors; what it holds is pinned. */
const packed = (name: string, value: string): RemoteFile => ({
  name: `${name}.gz`,
  maximumBytes: 64 * mebibyte,
  digest: { algorithm: 'sha256', value, of: 'content' },
})

const plain = (name: string, value: string): RemoteFile => ({
  name,
  maximumBytes: 4 * mebibyte,
  digest: { algorithm: 'sha256', value },
})

const bankingPath = (version: string) =>
  `https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/${version}/banking_data/`

const torontoMirrors = ['https://www.cs.toronto.edu/~kriz/', 'https://cave.cs.toronto.edu/kriz/']

/** The data sets that can be downloaded, by name. */
export const downloads = {
  mnist: {
    folder: 'mnist',
    megabytes: 12,
    mirrors: [
      'https://ossci-datasets.s3.amazonaws.com/mnist/',
      'https://storage.googleapis.com/cvdf-datasets/mnist/',
    ],
    content: {
      files: [
        packed(
          'train-images-idx3-ubyte',
          'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
        ),
        packed(
          'train-labels-idx1-ubyte',
          '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
        ),
        packed(
          't10k-images-idx3-ubyte',
          '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
        ),
        packed(
          't10k-labels-idx1-ubyte',
          'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
        ),
      ],
    },
  },
  'fashion-mnist': {
    folder: 'fashion-mnist',
    megabytes: 31,
    mirrors: [
      'https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/',
      'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
    ],
    content: {
      files: [
        packed(
          'train-images-idx3-ubyte',
          'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
        ),
        packed(
          'train-labels-idx1-ubyte',
          'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
        ),
        packed(
          't10k-images-idx3-ubyte',
          '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
        ),
        packed(
          't10k-labels-idx1-ubyte',
          '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
        ),
      ],
    },
  },
  cifar10: {
    folder: 'cifar-10',
    megabytes: 170,
    mirrors: torontoMirrors,
    content: {
      archive: {
        paths: ['cifar-10-binary.tar.gz'],
        maximumBytes: 170_052_171,
        maximumContentBytes: 256 * mebibyte,
        digest: { algorithm: 'md5', value: 'c32a1d4ab5d03f1284b67883e8d87530' },
        keep: /^cifar-10-batches-bin\/(data_batch_[1-5]\.bin|test_batch\.bin|batches\.meta\.txt)$/,
        files: 7,
      },
    },
  },
  cifar100: {
    folder: 'cifar-100',
    megabytes: 169,
    mirrors: torontoMirrors,
    content: {
      archive: {
        paths: ['cifar-100-binary.tar.gz'],
        maximumBytes: 168_513_733,
        maximumContentBytes: 256 * mebibyte,
        digest: { algorithm: 'md5', value: '03b5dce01913d631647c71ecec9e9cb8' },
        keep: /^cifar-100-binary\/((?:train|test)\.bin|(?:fine|coarse)_label_names\.txt)$/,
        files: 4,
      },
    },
  },
  fsdd: {
    folder: 'fsdd',
    megabytes: 16,
    mirrors: ['https://github.com/Jakobovski/free-spoken-digit-dataset/archive/'],
    content: {
      archive: {
        // GitHub packs anew at will: the recordings are pinned, not the archive.
        paths: ['refs/tags/v1.0.10.tar.gz', 'refs/heads/master.tar.gz'],
        maximumBytes: 128 * mebibyte,
        maximumContentBytes: 256 * mebibyte,
        keep: /^[^/]+\/(recordings\/\d_[a-z]+_\d+\.wav)$/,
        files: 3000,
        contentDigest: '1801eae019c063377d98f831d3f93574f259475df7332bb0e3d1b080fb5e6959',
      },
    },
  },
  banking77: {
    folder: 'banking77',
    megabytes: 1,
    mirrors: [bankingPath('57ec275d8078af65b7731c2a98be812d844a6d6b'), bankingPath('master')],
    content: {
      files: [
        plain('train.csv', 'b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b'),
        plain('test.csv', 'd12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d'),
        plain(
          'categories.json',
          '53261da888122daf2d120d925458631d9619e15d82e56052e7a42e535ce32b63',
        ),
      ],
    },
  },
} as const satisfies Record<string, DownloadSet>

/** Name of a data set that can be downloaded. */
export type DownloadName = keyof typeof downloads

/**
 * Downloads what is missing of a data set and gives its folder in the cache.
 *
 * Each file is checked against its digest and appears in one step; mirrors are tried in turn. A {@link UserError} says
 * why none of them would do.
 */
export function ensureDownloaded(
  name: DownloadName,
  cacheFolder: string,
  options: EnsureOptions,
): Promise<string> {
  return ensureSet(name, downloads[name], cacheFolder, options)
}
