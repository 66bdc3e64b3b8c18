/** Opens new databases, each at the same moment as its siblings do: FOLDER START(ms since the epoch) ROUNDS */
import { openJournal } from '../../src/journal/open.ts'
import { openDatabase } from '../../src/shared/database.ts'

const [, , folder = '', start, rounds] = process.argv
while (Date.now() < Number(start));
for (let round = 0; round < Number(rounds); round++) {
  const db = openDatabase(folder, `file-${round}.db`, ['CREATE TABLE t (n INTEGER)'])
  db.exec('INSERT INTO t VALUES (1)')
  db.close()
  openJournal(folder)[Symbol.dispose]()
}
