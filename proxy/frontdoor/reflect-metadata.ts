/** Import this before @peculiar/x509. */
import '../../protocol/reflect-metadata.ts'
