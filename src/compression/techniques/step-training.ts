/** `training`: what a step that trains takes instead of the job's settings. */
import { Type } from 'typebox';
import { Training } from '../../contracts/job-request.ts';

export const StepTraining = Type.Optional({
  ...Training,
  description: "overrides the job's training settings for this step",
});
