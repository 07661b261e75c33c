/**
 * jest's setup. In CI property tests take the same random cases every time, so that a submission is not judged by chance;
 * everywhere else they take new ones, and print the seed of what they find.
 */
import { configureGlobal } from 'fast-check'

configureGlobal({ seed: 20_261_125 })
