// Gradients of elementwise operators with several inputs.
import { type Rule, type RuleContext, step, variadic } from '../rule.ts'

/**
 * Max and Min: the gradient goes to the input that is the largest (smallest); equal ones share it.
 *
 * `distance` is 0 for an input that is chosen and positive for the others.
 */
export const extremum = (
  distance: (context: Pick<RuleContext, 'g' | 'x' | 'y'>) => RuleContext['x'],
): Rule =>
  variadic(({ g, all, y, dy }) => {
    const chosen = all.map((x) => g.Sub(1, step(g, distance({ g, x, y }))))
    const share = g.Div(
      dy,
      chosen.reduce((sum, each) => g.Add(sum, each)),
    )
    return chosen.map((each) => g.Mul(share, each))
  })
