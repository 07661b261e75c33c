/** Group and version of IngressRollout and IngressRolloutPolicy. */
export const ROLLOUT_GROUP = 'tengine.taobao.org'
export const ROLLOUT_API = `${ROLLOUT_GROUP}/v1alpha1`
