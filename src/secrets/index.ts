export { readIdentities } from './age.ts'
export { decryptText, encryptText, type Recrypted, rekeyText, resealText } from './file.ts'
export { makeDecrypt } from './vars.ts'
