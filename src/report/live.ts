import { DefaultRenderer, Listr, ListrLogger, ProcessOutput, Spinner } from 'listr2'

/** A part at the bottom of the terminal that is drawn again and again, and text that scrolls above it. */
export interface Live {
  /** Puts text (ending in a newline) above the live part, with the next frame. */
  above(text: string): void
  /** Takes the live part away and gives the terminal back. */
  stop(): Promise<void>
}

/** What log-update sends before it draws a frame: erase line and go up, for each line of the last one, then column 1. */
const ERASE = /^(?:\x1b\[2K(?:\x1b\[1A)?)*(?:\x1b\[G)?/

/**
 * Starts a live part on a terminal; `draw` gives its lines at each frame, with the spinner's current character. listr2
 * owns the terminal meanwhile: cursor, frames, and whatever else writes to stdout or stderr.
 */
export function startLive(stream: NodeJS.WriteStream, draw: (spinner: string) => readonly string[]): Live {
  let waiting = ''
  const { write } = stream
  const canvas = aboveFrames(stream, () => {
    const text = waiting
    waiting = ''
    return text
  })
  let finish = (): void => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const spinner = new Spinner()
  class FrameRenderer extends DefaultRenderer {
    // The caller knows that the stream is a terminal; listr2 would look at process.stdout.
    static override nonTTY = true
    override create(): string {
      return draw(spinner.fetch()).join('\n')
    }
  }
  const listr = new Listr([{ title: '', task: () => finished }], {
    renderer: FrameRenderer,
    rendererOptions: {
      clearOutput: true,
      spinner,
      logger: new ListrLogger({ processOutput: new ProcessOutput(canvas, process.stderr, { leaveEmptyLine: false }) }),
    },
    registerSignalListeners: false,
  })
  const run = listr.run()
  return {
    above(text) {
      waiting += text
    },
    async stop() {
      finish()
      await run
      stream.write = write
      if (waiting !== '') stream.write(waiting)
      waiting = ''
    },
  }
}

/** The stream, with `take()`'s text put between the erasing of the last frame and the drawing of the next. */
function aboveFrames(stream: NodeJS.WriteStream, take: () => string): NodeJS.WriteStream {
  // listr2 puts its own `write` onto the stream meanwhile, to hold back what others write.
  const write = stream.write.bind(stream)
  return new Proxy(stream, {
    get(target, key) {
      if (key !== 'write') {
        const value: unknown = Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return (chunk: string | Uint8Array): boolean => {
        if (target.destroyed) return true
        const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8')
        const erase = ERASE.exec(text)![0]
        // Only frames begin with an erased line; other writes (cursor) pass as they are.
        return write(erase.endsWith('\x1b[G') ? erase + take() + text.slice(erase.length) : text)
      }
    },
    set: (target, key, value) => Reflect.set(target, key, value, target),
  })
}
