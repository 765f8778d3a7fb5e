// What runs in a served page: it fetches the page again when the run says so, and replaces what has changed.

/** The script of a page, as its policy names it by its hash. */
export const pageScript = `
const events = new EventSource('/events')
let client = ''
let turn = Promise.resolve()

const replace = (old, next) => {
  if (old && next && old.outerHTML !== next.outerHTML) old.replaceWith(next)
}

// Sections that are the same stay as they are, so that nobody loses their place.
const show = (html) => {
  const next = new DOMParser().parseFromString(html, 'text/html')
  document.title = next.title
  for (const name of ['header', 'footer'])
    replace(document.querySelector('body > ' + name), next.querySelector('body > ' + name))
  const main = document.querySelector('main')
  const sections = [...next.querySelectorAll('main > section')]
  const ids = new Set(sections.map(({ id }) => id))
  for (const old of [...main.children]) if (!ids.has(old.id)) old.remove()
  for (const [place, section] of sections.entries()) {
    const old = main.children[place]
    if (old?.id === section.id) replace(old, section)
    else main.insertBefore(section, old ?? null)
  }
}

// A page in the background draws nothing that could be waited for.
const drawn = () =>
  document.hidden
    ? Promise.resolve()
    : new Promise((done) => requestAnimationFrame(() => setTimeout(done)))

events.addEventListener('hello', ({ data }) => {
  client = data
  document.getElementById('lost')?.remove()
})
events.addEventListener('page', ({ data }) => {
  turn = turn
    .then(() => fetch('/'))
    .then((response) => response.text())
    .then(show)
    .then(drawn)
    .then(() => fetch('/shown/' + client + '/' + data))
    .catch(() => undefined)
})
events.addEventListener('progress', ({ data }) => {
  turn = turn.then(() => {
    const next = new DOMParser().parseFromString(JSON.parse(data), 'text/html')
    replace(document.getElementById('progress'), next.querySelector('section'))
  })
})
events.addEventListener('end', () => events.close())
events.addEventListener('error', () => {
  if (document.getElementById('lost')) return
  const note = document.createElement('p')
  note.id = 'lost'
  note.className = 'statement'
  note.textContent = 'No connection: the run was stopped, or waits.'
  document.querySelector('main').prepend(note)
})
`
