// One position a row through all layers on the CPU, in one call: the threads start once a token and meet where one needs
// what another computed.
//
// The weights stream through the caches and take the code with them: whatever runs between two products is found cold, layer
// after layer. So little code as possible runs here, and no thread is started or asked for memory on the way. Activations are
// in single precision whatever the weights' format; keys and values are kept in the weights'.

#include "decode.h"

#include <ATen/Parallel.h>

#include <memory>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include "attention.h"
#include "guard.h"
#include "layer.h"
#include "meeting.h"

namespace {

using at::Tensor;
using namespace whole_step;

// Bytes that are asked for before a meeting: more than arrive meanwhile, less than the first cache.
constexpr int64_t WAITING = 16 << 10;

// Memory of all threads: what one writes and another reads.
struct Shared {
  std::vector<float> x, qkv, given, wide, middle, peak, sum, mixed;
};

// Memory of one thread.
struct Own {
  std::vector<float> normal, input, attended, after, queries, head;
  Scratch scratch;
};

struct Plan {
  std::vector<Layer> layers;
  Norm last;
  Linear head;
  Shared shared;
  std::vector<Own> own;
};

// One step of a plan, with what its layers share.
template <class T>
class Step {
 public:
  Step(Plan& plan, const StepParts& parts, int64_t rows, float* logits)
      : plan_(plan), parts_(parts), rows_(rows), hidden_(parts.x->size(1)), logits_(logits) {
    for (int64_t rope = 0; rope < parts.ropes; ++rope) {
      cosines_.push_back(floats(parts.cosines[rope]));
      sines_.push_back(floats(parts.sines[rope]));
    }
    plan.shared.x = floats(parts.x);
    for (const Layer& layer : plan.layers) make_room(layer);
  }

  // What thread `me` of `threads` does.
  void run(int64_t me, int64_t threads, Meeting& meeting) {
    Own& own = plan_.own[me];
    for (size_t index = 0; index < plan_.layers.size(); ++index) {
      const Layer& layer = plan_.layers[index];
      own.normal.resize(rows_ * hidden_);
      layer.before_attention.apply(plan_.shared.x.data(), rows_, hidden_, own.normal.data());
      if (layer.parallel) feed_forward_input(layer, own);
      multiply(layer.qkv, own.normal.data(), plan_.shared.qkv.data(), me, threads);
      ask_keys(layer, index, me, threads);
      meeting.meet();
      attend(layer, index, own, me, threads);
      ask(layer.output, part(layer.output.outputs, me, threads));
      meeting.meet();
      join(layer, own);
      add(layer, layer.output, own.attended.data(), layer.after_attention, own, me, threads, meeting);
      const int64_t kept = layer.down.inputs, gate = part(kept, me, threads);
      ask(layer.up, gate);
      meeting.meet();
      if (!layer.parallel) feed_forward_input(layer, own);
      widen(layer, own, me, threads);
      ask(layer.down, part(layer.down.outputs, me, threads));
      meeting.meet();
      add(layer, layer.down, plan_.shared.middle.data(), layer.after_feed_forward, own, me, threads, meeting);
      const bool end = index + 1 == plan_.layers.size();
      const Linear& next = end ? plan_.head : plan_.layers[index + 1].qkv;
      ask(next, part(next.outputs, me, threads));
      meeting.meet();
    }
    own.normal.resize(rows_ * hidden_);
    plan_.last.apply(plan_.shared.x.data(), rows_, hidden_, own.normal.data());
    multiply(plan_.head, own.normal.data(), logits_, me, threads);
  }

 private:
  void make_room(const Layer& layer) {
    Shared& shared = plan_.shared;
    const auto grow = [](std::vector<float>& room, int64_t size) {
      if (static_cast<int64_t>(room.size()) < size) room.resize(size);
    };
    const Attend of = look(layer, 0);
    grow(shared.qkv, rows_ * layer.qkv.outputs);
    grow(shared.given, rows_ * hidden_);
    grow(shared.wide, rows_ * layer.up.outputs);
    grow(shared.middle, rows_ * layer.down.inputs);
    grow(shared.peak, of.tasks() * of.group());
    grow(shared.sum, of.tasks() * of.group());
    grow(shared.mixed, of.tasks() * of.group() * of.width);
  }

  Attend look(const Layer& layer, int64_t capacity) const {
    const int64_t end = parts_.place + 1, first = layer.window > 0 ? std::max<int64_t>(0, end - layer.window) : 0;
    return {rows_, layer.heads, layer.kv_heads, layer.head_dim, capacity, first, end - first, layer.scale, layer.cap};
  }

  // This thread's outputs, in whole pairs.
  static int64_t part(int64_t outputs, int64_t me, int64_t threads) {
    return std::min(outputs, (outputs + 1) / 2 * me / threads * 2);
  }

  // Asks for the weights that come after a meeting, so that they are on their way while this thread waits.
  static void ask(const Linear& linear, int64_t output) {
    const char* first = reinterpret_cast<const char*>(linear.weight.template const_data_ptr<T>() + output * linear.inputs);
    const int64_t bytes = std::min<int64_t>(WAITING, (linear.outputs - output) * linear.inputs * sizeof(T));
    for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(first + line);
  }

  // As `ask`, for the keys that this thread looks at first.
  void ask_keys(const Layer& layer, size_t index, int64_t me, int64_t threads) const {
    const int64_t capacity = parts_.keys[index]->size(2);
    const Attend of = look(layer, capacity);
    const int64_t task = of.tasks() * me / threads, key = of.first + task % of.spans() * of.span();
    const int64_t place = (task / of.spans() * capacity + key) * of.width;
    ask_for(parts_.keys[index]->template const_data_ptr<T>() + place);
  }

  void multiply(const Linear& linear, const float* x, float* out, int64_t me, int64_t threads) {
    const int64_t begin = part(linear.outputs, me, threads), end = part(linear.outputs, me + 1, threads);
    multiply_part(linear, x, out, begin, end);
  }

  void multiply_part(const Linear& linear, const float* x, float* out, int64_t begin, int64_t end) {
    if (begin >= end) return;
    stretch_of(rows_, x, linear.weight.template const_data_ptr<T>(), linear.inputs, begin, end, out, linear.outputs);
    if (linear.bias.empty()) return;
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t i = begin; i < end; ++i) out[row * linear.outputs + i] += linear.bias[i];
    }
  }

  void feed_forward_input(const Layer& layer, Own& own) {
    own.input.resize(rows_ * hidden_);
    // Without a norm of its own, a parallel part reads what attention reads.
    const bool same = layer.parallel && !layer.before_feed_forward.there();
    const float* from = same ? own.normal.data() : plan_.shared.x.data();
    layer.before_feed_forward.apply(from, rows_, hidden_, own.input.data());
  }

  const float* angle(const std::vector<float>& table, int64_t row, int64_t width) const {
    return table.data() + (static_cast<int64_t>(table.size()) > width ? row * width : 0);
  }

  // A head normalised and turned.
  void turned(const Layer& layer, const Norm& norm, const float* from, int64_t row, float* out, Own& own) {
    const int64_t width = layer.head_dim;
    own.head.resize(width);
    if (norm.there()) {
      norm.apply(from, 1, width, own.head.data());
      from = own.head.data();
    }
    if (layer.rope < 0) {
      std::copy(from, from + width, out);
    } else {
      turn_of(from, angle(cosines_[layer.rope], row, width), angle(sines_[layer.rope], row, width), width, out);
    }
  }

  // The new key and value of a head go to their place.
  void store(const Layer& layer, size_t index, int64_t head, Own& own) {
    const int64_t width = layer.head_dim, row = head / layer.kv_heads, within = head % layer.kv_heads;
    const float* given = plan_.shared.qkv.data() + row * layer.qkv.outputs + (layer.heads + within) * width;
    const int64_t place = (head * parts_.keys[index]->size(2) + parts_.place) * width;
    T* key = parts_.keys[index]->template mutable_data_ptr<T>() + place;
    T* value = parts_.values[index]->template mutable_data_ptr<T>() + place;
    own.queries.resize(width);
    turned(layer, layer.key_norm, given, row, own.queries.data(), own);
    for (int64_t i = 0; i < width; ++i) key[i] = static_cast<T>(own.queries[i]);
    const float* values = given + layer.kv_heads * width;
    for (int64_t i = 0; i < width; ++i) value[i] = static_cast<T>(values[i]);
  }

  void attend(const Layer& layer, size_t index, Own& own, int64_t me, int64_t threads) {
    const Attend of = look(layer, parts_.keys[index]->size(2));
    const int64_t group = of.group(), width = of.width, spans = of.spans(), tasks = of.tasks();
    Shared& shared = plan_.shared;
    for (int64_t task = tasks * me / threads; task < tasks * (me + 1) / threads; ++task) {
      const int64_t head = task / spans, row = head / of.kv_heads;
      // Whoever has the last keys writes the newest first; nobody else reads it.
      if (task % spans == spans - 1) store(layer, index, head, own);
      own.queries.resize(group * width);
      const float* given = shared.qkv.data() + row * layer.qkv.outputs + head % of.kv_heads * group * width;
      for (int64_t query = 0; query < group; ++query) {
        turned(layer, layer.query_norm, given + query * width, row, own.queries.data() + query * width, own);
      }
      for (float& value : own.queries) value *= of.scale;
      attend_span(of, task, own.queries.data(), parts_.keys[index]->template const_data_ptr<T>(),
                  parts_.values[index]->template const_data_ptr<T>(),
                  parts_.mask == nullptr ? nullptr : parts_.mask->template const_data_ptr<T>(), own.scratch,
                  &shared.peak[task * group], &shared.sum[task * group], &shared.mixed[task * group * width]);
    }
  }

  // Every thread joins all heads: that is less than to wait for the others once more.
  void join(const Layer& layer, Own& own) {
    const Attend of = look(layer, 0);
    own.attended.resize(rows_ * of.heads * of.width);
    const Shared& shared = plan_.shared;
    for (int64_t query = 0; query < rows_ * of.heads; ++query) {
      const float* sink = layer.sinks.empty() ? nullptr : &layer.sinks[query % of.heads];
      join_spans(of, query, sink, shared.peak.data(), shared.sum.data(), shared.mixed.data(), own.scratch,
                 own.attended.data() + query * of.width);
    }
  }

  // The residual plus a product, normalised and scaled.
  void add(const Layer& layer, const Linear& linear, const float* from, const Norm& after, Own& own, int64_t me,
           int64_t threads, Meeting& meeting) {
    Shared& shared = plan_.shared;
    const int64_t begin = part(linear.outputs, me, threads), end = part(linear.outputs, me + 1, threads);
    multiply_part(linear, from, shared.given.data(), begin, end);
    const float* given = shared.given.data();
    if (after.there()) {
      meeting.meet();
      own.after.resize(rows_ * hidden_);
      after.apply(given, rows_, hidden_, own.after.data());
      given = own.after.data();
    }
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t i = row * hidden_ + begin; i < row * hidden_ + end; ++i) shared.x[i] += layer.residual_scale * given[i];
    }
  }

  void widen(const Layer& layer, Own& own, int64_t me, int64_t threads) {
    const int64_t kept = layer.down.inputs, begin = part(kept, me, threads), end = part(kept, me + 1, threads);
    if (begin >= end) return;
    float* wide = plan_.shared.wide.data();
    multiply_part(layer.up, own.input.data(), wide, begin, end);
    if (layer.gated) multiply_part(layer.up, own.input.data(), wide, kept + begin, kept + end);
    for (int64_t row = 0; row < rows_; ++row) {
      float* gate = wide + row * layer.up.outputs;
      float* out = plan_.shared.middle.data() + row * kept;
      activate(layer.activation, gate + begin, end - begin);
      for (int64_t i = begin; i < end; ++i) out[i] = layer.gated ? gate[i] * gate[kept + i] : gate[i];
    }
  }

  Plan& plan_;
  const StepParts& parts_;
  int64_t rows_, hidden_;
  float* logits_;
  std::vector<std::vector<float>> cosines_, sines_;
};

template <class T>
void run(Plan& plan, const StepParts& parts, int64_t threads, float* logits) {
  Step<T> step(plan, parts, parts.x->size(0), logits);
  plan.own.resize(std::max<size_t>(plan.own.size(), threads));
  Meeting meeting;
#if defined(_OPENMP)
#pragma omp parallel num_threads(static_cast<int>(threads))
  {
    // Fewer may have come than were asked for.
#pragma omp single
    meeting.expect(omp_get_num_threads());
    step.run(omp_get_thread_num(), omp_get_num_threads(), meeting);
  }
#else
  step.run(0, 1, meeting);
#endif
}

void check(const Plan& plan, const StepParts& parts) {
  const int64_t rows = parts.x->size(0);
  TORCH_CHECK(parts.x->dim() == 2 && rows > 0 && rows <= MOST_ROWS, "a step of so many rows is not for this function");
  TORCH_CHECK(parts.layers == static_cast<int64_t>(plan.layers.size()), "there is a cache a layer");
  check_step(parts.x, plan.head.weight);
  check_step(parts.mask, plan.head.weight);
  for (int64_t i = 0; i < parts.layers; ++i) {
    const Layer& layer = plan.layers[i];
    for (const Tensor* cache : {parts.keys[i], parts.values[i]}) {
      check_step(cache, plan.head.weight);
      TORCH_CHECK(cache->dim() == 4 && cache->size(0) == rows && cache->size(1) == layer.kv_heads &&
                      cache->size(3) == layer.head_dim,
                  "a cache does not fit");
      TORCH_CHECK(parts.place >= 0 && parts.place < cache->size(2), "there is no such place in the cache");
      TORCH_CHECK(parts.mask == nullptr || parts.mask->numel() == rows * cache->size(2), "a mask must cover the cache");
    }
    TORCH_CHECK(parts.x->size(1) == layer.qkv.inputs && layer.rope < parts.ropes, "a step does not fit its layers");
    const int64_t angles = layer.rope < 0 ? 0 : parts.cosines[layer.rope]->numel();
    TORCH_CHECK(layer.rope < 0 || angles == layer.head_dim || angles == rows * layer.head_dim, "angles do not fit");
  }
}

}  // namespace

extern "C" {

// Weights must stay as they are while the plan lives; it keeps them.
void* ai_energy_plan_new(const LayerParts* layers, int64_t count, const NormParts* last, const LinearParts* head, char** error) {
  void* made = nullptr;
  attempted(error, [&] {
    auto plan = std::make_unique<Plan>();
    for (int64_t i = 0; i < count; ++i) plan->layers.emplace_back(layers[i]);
    plan->last = Norm(*last);
    plan->head = Linear(*head);
    const Tensor& like = plan->head.weight;
    for (const Layer& layer : plan->layers) {
      for (const Linear* linear : {&layer.qkv, &layer.output, &layer.up, &layer.down}) check_step(&linear->weight, like);
    }
    check_step(&like, like);
    TORCH_CHECK(like.scalar_type() != at::kHalf, "a plan of this format is not for this function");
    made = plan.release();
  });
  return made;
}

void ai_energy_plan_delete(void* plan) { delete static_cast<Plan*>(plan); }

// The logits of the next position of each row, in single precision; keys and values are written to their place.
Tensor* ai_energy_plan_run(void* given, const StepParts* parts, char** error) {
  return guarded(error, [&] {
    Plan& plan = *static_cast<Plan*>(given);
    check(plan, *parts);
    auto logits = at::empty({parts->x->size(0), plan.head.outputs}, parts->x->options().dtype(at::kFloat));
    float* out = logits.mutable_data_ptr<float>();
    if (parts->x->scalar_type() == at::kFloat) {
      run<float>(plan, *parts, at::get_num_threads(), out);
    } else {
      run<at::BFloat16>(plan, *parts, at::get_num_threads(), out);
    }
    return logits;
  });
}

}  // extern "C"
